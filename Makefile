# carrel: `make run` serves, `make test` tests, `make help` lists the rest.
# Everything built lies in build/$(MODE); modes do not mix.

MODE ?= release
B    := build/$(MODE)
ifneq ($(filter bench,$(MAKECMDGOALS)),)
ifeq ($(findstring /,$(B)),)    # make bench B=llm: a bench, not a folder
override T := $(B)
override B := build/$(MODE)
endif
endif
CC   := gcc
CARREL_DATA ?= $(abspath $(wildcard ../shared/data))
export CARREL_DATA
export PYTHONDONTWRITEBYTECODE = 1
DESTDIR :=
PREFIX  := /usr/local
SECONDS := 60
# V=1 shows the commands themselves.
Q       := $(if $(V),,@)
say      = @printf '%-5s %s\n'
# As many jobs as processors, unless the caller has said.
PAR      = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# apt packages: what builds and runs carrel, what its tests add, and what only CI's tests need.
APT_BUILD := gcc make/make pkg-config/pkg-config libmicrohttpd-dev libsqlite3-dev libxxhash-dev libopenblas-dev \
             libyaml-dev libjansson-dev libutf8proc-dev libuchardet-dev libstemmer-dev libmd4c-dev \
             libgumbo-dev libpoppler-glib-dev libseccomp-dev libsodium-dev libcurl4-gnutls-dev
APT_TEST  := libcmocka-dev python3/python3 curl/curl
APT_CI    := chromium/chromium nodejs/node npm/npm openssl/openssl python3-torch python3-numpy python3-jsonschema xz-utils/xz

PKGS      := sqlite3 yaml-0.1 libmicrohttpd libxxhash jansson libutf8proc libsodium libcurl
XPKGS     := poppler-glib gumbo md4c uchardet libseccomp libutf8proc jansson libxxhash

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
        -Wvla -Wformat=2 -Wno-format-nonliteral -Wno-missing-field-initializers
HARD := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
MODE_release := -O2 -g $(HARD)
MODE_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
MODE_tsan    := -O1 -g -fsanitize=thread
MODE_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LINK_asan    := -fsanitize=address,undefined
LINK_tsan    := -fsanitize=thread
LINK_fuzz    := -fsanitize=fuzzer,address,undefined
LINK_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack

override CFLAGS   += -std=c17 -pthread -fPIE $(WARN) $(MODE_$(MODE))
override CPPFLAGS += -D_GNU_SOURCE -I.
override LDFLAGS  += -pthread $(LINK_$(MODE))
# Computed on first use, so that `make help` and `make deps` need no pkg-config.
LIB_CPP = $(eval LIB_CPP := $$(shell pkg-config --cflags $(PKGS) $(XPKGS)))$(LIB_CPP)
LIBS    = $(eval LIBS := $$(shell pkg-config --libs $(PKGS)) -lstemmer -lm -ldl)$(LIBS)
XLIBS   = $(eval XLIBS := $$(shell pkg-config --libs $(XPKGS)) -lstemmer -lm)$(XLIBS)

ROOMS   := base config model embed llm index ingest query web
LIB_SRC := $(sort $(foreach r,$(ROOMS),$(wildcard $(r)/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CMD_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard cmd/*.c)))
EXT_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard ingest/extract/*.c)))
# Everything but the two mains, for tests: the linker takes what a test needs.
FOR_TESTS := $(B)/libcmd.a $(B)/libreader.a $(B)/libcarrel.a
TESTS   := $(patsubst tests/unit/%.c,$(B)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
TOOLS   := $(patsubst tests/tools/%.c,$(B)/tools/%,$(sort $(wildcard tests/tools/*.c)))
BENCHES := $(patsubst tests/bench/%.c,$(B)/bench/%,$(sort $(wildcard tests/bench/bench_*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

all: $(B)/carrel $(B)/carrel-extract ## build both programs (build/release)

$(B)/libcarrel.a: $(LIB_OBJ)
	@rm -f $@; ar rcs $@ $^
$(B)/libcmd.a: $(filter-out $(B)/cmd/main.o,$(CMD_OBJ))
	@rm -f $@; ar rcs $@ $^
$(B)/libreader.a: $(filter-out $(B)/ingest/extract/main.o,$(EXT_OBJ))
	@rm -f $@; ar rcs $@ $^
$(B)/carrel: $(CMD_OBJ) $(B)/libcarrel.a
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/carrel-extract: $(EXT_OBJ) $(B)/libcarrel.a
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(XLIBS)
$(B)/tests/%: $(B)/tests/unit/%.o $(B)/tests/test_main.o $(FOR_TESTS)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS) $(XLIBS) -lcmocka
$(B)/tools/%: $(B)/tests/tools/%.o $(FOR_TESTS)
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS) $(XLIBS)
$(B)/bench/%: $(B)/tests/bench/%.o $(FOR_TESTS)
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS) $(XLIBS)
# gcc replays a corpus with a small main; clang's libFuzzer brings its own.
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(if $(filter fuzz,$(MODE)),,$(B)/tests/fuzz/replay.o) $(FOR_TESTS)
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS) $(XLIBS)

# What .incbin carries is unseen by -MMD.
$(B)/web/assets.o: $(wildcard web/assets/*)
$(B)/index/schema.o: index/schema.sql
$(B)/config/catalogue.o: config/catalogue.tsv
-include embed/encoder.mk

# clang takes minutes over unrolled kernels under its sanitizers; no fuzzer needs to see into them.
NO_HUNT := $(if $(filter fuzz,$(MODE)),-fno-sanitize=all)
$(B)/%_avx2.o: private override CFLAGS += -mavx2 -mfma -mf16c -ffp-contract=fast $(NO_HUNT)
$(B)/%_avxvnni.o: private override CFLAGS += -mavx2 -mfma -mf16c -mavxvnni -ffp-contract=off $(NO_HUNT)
$(B)/%_avx512.o: private override CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -ffp-contract=fast $(NO_HUNT)
$(B)/%_vnni.o: private override CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c -ffp-contract=off $(NO_HUNT)
$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(LIB_CPP) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || \
	echo '$(CC) $(CPPFLAGS) $(CFLAGS)' > $@
.PRECIOUS: $(B)/%.o
FORCE:
-include $(shell find $(B) -name '*.d' 2>/dev/null)

run: ## install what is missing, build, serve, print the address
	@tests/tools/apt.sh $(APT_BUILD)
	@$(MAKE) $(PAR) --no-print-directory all
	@exec $(B)/carrel serve

test: ## the same, then every test (about a minute; CI=true adds the long ones)
	@tests/tools/apt.sh $(APT_BUILD) $(APT_TEST) $(if $(CI),$(APT_CI))
	@$(MAKE) $(PAR) --no-print-directory tests
	@$(if $(CI),$(MAKE) $(PAR) --no-print-directory MODE=asan B=build/asan all unit-tests fuzzers)
	@$(if $(CI),cd tests/clients && npm ci --silent --no-audit --no-fund)
	@python3 tests/run.py --build $(B) $(if $(CI),--asan build/asan)

tests: all unit-tests fuzzers $(TOOLS)
unit-tests: $(TESTS)
fuzzers: $(FUZZERS)

unit: unit-tests all ## unit tests; T=hnsw narrows
	@python3 tests/run.py --build $(B) --only unit $(if $(T),--pattern '$(T)')

system: tests ## system tests on the real program; T=cli narrows
	@python3 tests/run.py --build $(B) --only system $(if $(T),--pattern '$(T)')

replay: fuzzers ## run the fuzzers over their kept inputs
	@python3 tests/run.py --build $(B) --only replay $(if $(T),--pattern '$(T)')

fuzz: ## hunt with libFuzzer: make fuzz F=json SECONDS=60 (needs clang)
	@test -n '$(F)' || { echo 'which one? make fuzz F=NAME, one of: $(patsubst $(B)/fuzz/fuzz_%,%,$(FUZZERS))'; exit 2; }
	@tests/tools/apt.sh clang
	@$(MAKE) $(PAR) --no-print-directory MODE=fuzz B=build/fuzz CC=clang build/fuzz/fuzz/fuzz_$(F)
	@mkdir -p build/fuzz/corpus/$(F) tests/fuzz/corpus/$(F)
	build/fuzz/fuzz/fuzz_$(F) -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=4096 \
	    -artifact_prefix=build/fuzz/ $(addprefix -dict=,$(wildcard tests/fuzz/$(F).dict)) \
	    build/fuzz/corpus/$(F) tests/fuzz/corpus/$(F)

asan: ## unit tests and corpora under AddressSanitizer and UBSan
	@$(MAKE) $(PAR) --no-print-directory MODE=asan B=build/asan all unit-tests fuzzers
	@python3 tests/run.py --build build/asan --only unit,replay $(if $(T),--pattern '$(T)')

tsan: ## unit tests under ThreadSanitizer
	@$(MAKE) $(PAR) --no-print-directory MODE=tsan B=build/tsan all unit-tests
	@python3 tests/run.py --build build/tsan --only unit $(if $(T),--pattern '$(T)')

bench: all $(BENCHES) ## measure; B=llm narrows; name, input, metric, value
	@for b in $(sort $(BENCHES)); do case $$b in *'$(T)'*) $$b || exit 1;; esac; done
	@case server in *'$(T)'*) CARREL_BIN=$(B)/carrel python3 tests/system/bench_server.py;; esac

install: all ## into DESTDIR and PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/carrel $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(B)/carrel $(B)/carrel-extract $(DESTDIR)$(PREFIX)/bin
	install -m 644 README.md LICENSE $(wildcard config/carrel.yaml) $(DESTDIR)$(PREFIX)/share/doc/carrel
	$(if $(wildcard config/carrel.service),install -m 644 config/carrel.service $(DESTDIR)$(PREFIX)/lib/systemd/system)

layers: ## check the arrows between rooms and the one door per library
	@tests/layers.sh

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile embed/encoder.mk | while IFS='	' read -r t d; do printf '%-8s %s\n' "$$t" "$$d"; done

clean: ## remove everything built
	rm -rf build

.PHONY: all run test tests unit-tests fuzzers unit system replay fuzz asan tsan bench install layers help clean FORCE
