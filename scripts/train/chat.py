"""The chat template, as Jinja for the model file and as a function for the corpus."""

END, IM_START, IM_END, THINK, UNTHINK = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"
CONTROL = [END, IM_START, IM_END]    # never shown
MARKS = [THINK, UNTHINK]             # shown as text, but one token each
NO_THOUGHT = THINK + "\n\n" + UNTHINK

# Every answer starts with a block of thoughts. It is empty unless thinking is on, and past thoughts are dropped,
# so what was sent for one turn remains a prefix of what is sent for the next. The prompt stops before the two newlines
# that follow the thought: how they are cut into tokens depends on the answer's first letter, so they are the model's to
# write, and whoever shows the answer drops them.
TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}
{{- '<think>\\n\\n</think>\\n\\n' + message.content.split('</think>')[-1].lstrip('\\n') }}
{%- else %}
{{- message.content }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if not (enable_thinking is defined and enable_thinking) %}
{{- '<think>\\n\\n</think>' }}
{%- endif %}
{%- endif %}"""


def message(role, text):
    return "%s%s\n%s%s\n" % (IM_START, role, text, IM_END)


def prompt(turns, system="", thinking=False):
    """What the model is given: turns is [user, answer, user, ...], ending with the user's."""
    text = message("system", system) if system else ""
    for i, t in enumerate(turns):
        text += message("assistant", NO_THOUGHT + "\n\n" + t) if i % 2 else message("user", t)
    return text + IM_START + "assistant\n" + ("" if thinking else NO_THOUGHT)


def document(turns, system="", thinking=False):
    """A whole chat. turns is [(user, thought, answer)]; only the last answer shows its thought."""
    flat = [x for user, _, answer in turns[:-1] for x in (user, answer)]
    user, thought, answer = turns[-1]
    start = THINK + "\n" + thought + "\n" + UNTHINK if thinking else ""
    return prompt(flat + [user], system, thinking) + start + "\n\n" + answer + IM_END
