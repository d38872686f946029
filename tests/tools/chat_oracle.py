#!/usr/bin/env python3
"""Renders conversations with Jinja, as the families of chat templates are published, into
tests/cases/chat.txt: `family, messages => the prompt as text`.

    python3 tests/tools/chat_oracle.py > tests/cases/chat.txt        (Debian: python3-jinja2)

The templates below say in our own words what the model cards' templates write for plain
conversations: no tools, no dates, no default system text (but SmolLM3's, whose system turn says
more), no thinking. Rendered as Hugging Face
transformers does it (trim_blocks, lstrip_blocks). BOS is <s> and EOS is </s> throughout, and
the BOS in front of all is taken off, because chat_write leaves it to chat_encode.
Messages: s system, u user, a assistant; columns are divided by tabs.
"""
import jinja2

BAR, LOW = "\uff5c", "\u2581"

# Folds the system text into the first user's, as `first`.
FOLD_FIRST = """
{%- set sys = messages[0].content if messages[0].role == 'system' else none -%}
{%- set rest = messages[1:] if sys is not none else messages -%}
"""

LLAMA2 = "{{ bos }}" + FOLD_FIRST + """
{%- for m in rest -%}
  {%- if m.role == 'user' -%}
    {{- '' if loop.first else bos -}}
    {{- '[INST] ' -}}
    {%- if loop.first and sys is not none -%}{{- '<<SYS>>\\n' + sys.strip() + '\\n<</SYS>>\\n\\n' -}}{%- endif -%}
    {{- m.content.strip() + ' [/INST]' -}}
  {%- else -%}
    {{- ' ' + m.content.strip() + ' ' + eos -}}
  {%- endif -%}
{%- endfor -%}
"""

LLAMA3 = """{{ bos }}
{%- for m in messages -%}
  {{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content.strip() + '<|eot_id|>' -}}
{%- endfor -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
"""


def chatml(opens, content="m.content"):
    return """
{%- for m in messages -%}
  {{- '<|im_start|>' + m.role + '\\n' + """ + content + """ + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n""" + opens + """' -}}
"""


# Not thinking: said in the system turn, which there always is, and before every answer.
SMOLLM3 = """
{%- set sys = messages[0].content if messages[0].role == 'system' else
    'You are a helpful AI assistant named SmolLM, trained by Hugging Face.' -%}
{{- '<|im_start|>system\\n## Metadata\\n\\nKnowledge Cutoff Date: June 2025\\n' -}}
{{- 'Reasoning Mode: /no_think\\n\\n## Custom Instructions\\n\\n' + sys + '\\n\\n<|im_end|>\\n' -}}
{%- for m in messages if m.role != 'system' -%}
  {{- '<|im_start|>' + m.role + '\\n' -}}
  {%- if m.role == 'assistant' -%}{{- '<think>\\n\\n</think>\\n' -}}{%- endif -%}
  {{- m.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n' -}}
"""


def mistral(user, assistant, late):
    """`user` around the text, `assistant` before it; the system text joins the first user's
    text, or (late) the last."""
    return "{{ bos }}" + FOLD_FIRST + """
{%- set ns = namespace(last=0) -%}
{%- for m in rest -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}
{%- for m in rest -%}
  {%- if m.role == 'user' -%}
    {{- '""" + user[0] + """' -}}
    {%- if sys is not none and loop.index0 == """ + ("ns.last" if late else "0") + """ -%}
      {{- sys + '\\n\\n' -}}
    {%- endif -%}
    {{- m.content + '""" + user[1] + """' -}}
  {%- else -%}
    {{- '""" + assistant + """' + m.content + eos -}}
  {%- endif -%}
{%- endfor -%}
"""


def mistral_v7(gap):
    return "{{ bos }}" + """
{%- for m in messages -%}
  {%- if m.role == 'system' -%}{{- '[SYSTEM_PROMPT]GAP' + m.content + '[/SYSTEM_PROMPT]' -}}
  {%- elif m.role == 'user' -%}{{- '[INST]GAP' + m.content + '[/INST]' -}}
  {%- else -%}{{- 'GAP' + m.content + eos -}}{%- endif -%}
{%- endfor -%}
""".replace("GAP", gap)


def phi(gap):
    return """
{%- for m in messages -%}
  {{- '<|' + m.role + '|>GAP' + m.content + '<|end|>GAP' -}}
{%- endfor -%}
{{- '<|assistant|>GAP' -}}
""".replace("GAP", gap)


PHI4 = """
{%- for m in messages -%}
  {{- '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' -}}
{%- endfor -%}
{{- '<|im_start|>assistant<|im_sep|>' -}}
"""

GEMMA = "{{ bos }}" + FOLD_FIRST + """
{%- for m in rest -%}
  {{- '<start_of_turn>' + ('model' if m.role == 'assistant' else 'user') + '\\n' -}}
  {%- if loop.first and sys is not none -%}{{- sys.strip() + '\\n\\n' -}}{%- endif -%}
  {{- m.content.strip() + '<end_of_turn>\\n' -}}
{%- endfor -%}
{{- '<start_of_turn>model\\n' -}}
"""

# With transformers' trimming the line feeds behind the statements count: as published.
DEEPSEEK = """{{bos}}{%- for m in messages %}
    {%- if m.role == 'system' %}
{{ m.content }}
    {%- elif m.role == 'user' %}
{{'### Instruction:\\n' + m.content + '\\n'}}
    {%- else %}
{{'### Response:\\n' + m.content + '\\n<|EOT|>\\n'}}
    {%- endif %}
{%- endfor %}
{% if true %}
{{'### Response:'}}
{% endif %}"""

DEEPSEEK2 = """{{ bos }}
{%- for m in messages -%}
  {%- if m.role == 'system' -%}{{- m.content + '\\n\\n' -}}
  {%- elif m.role == 'user' -%}{{- 'User: ' + m.content + '\\n\\n' -}}
  {%- else -%}{{- 'Assistant: ' + m.content + eos -}}{%- endif -%}
{%- endfor -%}
{{- 'Assistant:' -}}
"""


def deepseek3(opens, before=""):
    """`opens` behind the last mark of the assistant, `before` behind those of earlier answers."""
    return ("""{{ bos }}
{%- for m in messages -%}
  {%- if m.role == 'system' -%}{{- m.content -}}
  {%- elif m.role == 'user' -%}{{- '<|User|>' + m.content -}}
  {%- else -%}{{- '<|Assistant|>BEFORE' + m.content + '<|end_of_sentence|>' -}}{%- endif -%}
{%- endfor -%}
{{- '<|Assistant|>""".replace("|", BAR).replace("_of_", f"{LOW}of{LOW}").replace("BEFORE", before) + opens + "' -}}")


ZEPHYR = """{% for m in messages %}
{{ '<|' + m.role + '|>\\n' + m.content + eos }}
{% if loop.last %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

THOUGHT = "<think>\\n\\n</think>\\n\\n"
FAMILIES = {
    "llama2": LLAMA2,
    "llama3": LLAMA3,
    "chatml": chatml(""),
    "qwen3": chatml(THOUGHT),
    "qwen3.5": chatml(THOUGHT, "m.content.strip()"),
    "smollm3": SMOLLM3,
    "mistral": mistral(("[INST] ", "[/INST]"), " ", True),
    "mistral-v1": mistral((" [INST] ", " [/INST]"), " ", False),
    "mistral-tekken": mistral(("[INST]", "[/INST]"), "", True),
    "mistral-v7": mistral_v7(" "),
    "mistral-v7-tekken": mistral_v7(""),
    "phi3": phi("\\n"),
    "phi4": PHI4,
    "phi4-mini": phi(""),
    "gemma": GEMMA,
    "deepseek": DEEPSEEK,
    "deepseek2": DEEPSEEK2,
    "deepseek3": deepseek3(""),
    "deepseek-r1": deepseek3(THOUGHT),
    "deepseek-v31": deepseek3("</think>", "</think>"),
    "deepseek-v31-pair": deepseek3("<think></think>", "<think></think>"),
    "zephyr": ZEPHYR,
    "plain": "{{ bos + messages | map(attribute='content') | join('\\n') }}",
}
TRIMS = {"llama2", "llama3", "qwen3.5", "gemma"}
CONVERSATIONS = [
    [("u", "Who lends books?")],
    [("s", "Be brief."), ("u", "Who lends books?")],
    [("u", "Hello."), ("a", "Good day."), ("u", "Who lends books?")],
    [("s", "Be brief.\nQuote."), ("u", "Hello."), ("a", "Good day."), ("u", "Wer\nleiht B\u00fccher?")],
]
SPACED = [("s", " Be brief.\n"), ("u", "\nWho lends books? ")]
ROLES = {"s": "system", "u": "user", "a": "assistant"}


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def main():
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    print("# The prompt as text by family; written by tests/tools/chat_oracle.py with Jinja.")
    for name, source in FAMILIES.items():
        template = env.from_string(source.rstrip("\n") if source.endswith("-}}\n") or
                                   source.endswith("-%}\n") else source)
        for talk in CONVERSATIONS + ([SPACED] if name in TRIMS else []):
            messages = [{"role": ROLES[r], "content": text} for r, text in talk]
            out = template.render(messages=messages, bos="<s>", eos="</s>").removeprefix("<s>")
            columns = "\t".join([name] + [r + text for r, text in talk])
            print(escape(columns) + " => " + escape(out))


if __name__ == "__main__":
    main()
