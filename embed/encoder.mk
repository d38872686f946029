# embed/encoder.mk - the built-in encoder: what depends on it, and how it is made.
# Pairs: pairs-*.jsonl.xz in CARREL_TRAIN, lines of {"q", "p", "src"}. The sources left
# out are under licences that a shipped table should not stand on.
CARREL_TRAIN ?= ../shared/train

# .incbin is unseen by -MMD.
$(B)/embed/builtin.o: embed/encoder.gguf

encoder: $(B)/carrel ## train embed/encoder.gguf anew from the pairs in CARREL_TRAIN
	$(B)/carrel train --out embed/encoder.gguf --name carrel-static-en-1 \
	    --skip ansible,git,logstash $(CARREL_TRAIN)/pairs-*.jsonl.xz
	chmod 644 embed/encoder.gguf

.PHONY: encoder
