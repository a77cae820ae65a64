/* Chat templates by name, for files that have none or a wrong one: the format that each family of models was trained
 * with, in a few lines. Texts are written as the format has them; a system message stands first. */
#include "text/chat.h"

/* Pieces that rows share. */
#define EACH "{% for m in messages %}"
#define END  "{% endfor %}"
#define ASK  "{% if add_generation_prompt %}"
#define FI   "{% endif %}"
/* Formats without a place for the system message put it before the first user's: `sys` holds it until then. */
#define HOLD_SYSTEM                                                                                                    \
    "{% set ns = namespace(sys='') %}" EACH "{% if m.role == 'system' %}{% set ns.sys = m.content %}{% else %}"
#define RELEASED "{% endif %}" END

#define MISTRAL_V3                                                                                                     \
    "{{ bos_token }}" HOLD_SYSTEM                                                                                      \
    "{% if m.role == 'user' %}{{ '[INST] ' + (ns.sys + '\\n\\n' if ns.sys else '') + m.content + '[/INST]' }}"         \
    "{% set ns.sys = '' %}{% else %}{{ ' ' + m.content ~ eos_token }}{% endif %}" RELEASED

const chat_builtin chat_builtins[] = {
    {"chatml", EACH "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}" END ASK
                    "{{ '<|im_start|>assistant\\n' }}" FI},
    {"llama2",
     HOLD_SYSTEM "{% if m.role == 'user' %}{{ bos_token ~ '[INST] ' }}{% if ns.sys %}"
                 "{{ '<<SYS>>\\n' + ns.sys + '\\n<</SYS>>\\n\\n' }}{% set ns.sys = '' %}{% endif %}"
                 "{{ m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + ' ' ~ eos_token }}{% endif %}" RELEASED},
    {"llama3",
     "{{ bos_token }}" EACH
     "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}" END ASK
     "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}" FI},
    {"llama4", "{{ bos_token }}" EACH
               "{{ '<|header_start|>' + m.role + '<|header_end|>\\n\\n' + m.content | trim + '<|eot|>' }}" END ASK
               "{{ '<|header_start|>assistant<|header_end|>\\n\\n' }}" FI},
    {"mistral-v1",
     "{{ bos_token }}" HOLD_SYSTEM
     "{% if m.role == 'user' %}{{ ' [INST] ' + (ns.sys + '\\n\\n' if ns.sys else '') + m.content + ' [/INST]' }}"
     "{% set ns.sys = '' %}{% else %}{{ ' ' + m.content ~ eos_token }}{% endif %}" RELEASED},
    {"mistral", MISTRAL_V3},
    {"mistral-v3", MISTRAL_V3},
    {"mistral-v3-tekken",
     "{{ bos_token }}" HOLD_SYSTEM
     "{% if m.role == 'user' %}{{ '[INST]' + (ns.sys + '\\n\\n' if ns.sys else '') + m.content + '[/INST]' }}"
     "{% set ns.sys = '' %}{% else %}{{ m.content ~ eos_token }}{% endif %}" RELEASED},
    {"mistral-v7",
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ '[SYSTEM_PROMPT] ' + m.content + '[/SYSTEM_PROMPT]' }}"
     "{% elif m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
     "{% else %}{{ ' ' + m.content ~ eos_token }}{% endif %}" END},
    {"mistral-v7-tekken",
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}"
     "{% elif m.role == 'user' %}{{ '[INST]' + m.content + '[/INST]' }}"
     "{% else %}{{ m.content ~ eos_token }}{% endif %}" END},
    {"gemma",
     "{{ bos_token }}" HOLD_SYSTEM "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' }}"
     "{% if m.role == 'user' and ns.sys %}{{ ns.sys | trim + '\\n\\n' }}{% set ns.sys = '' %}{% endif %}"
     "{{ m.content | trim + '<end_of_turn>\\n' }}" RELEASED ASK "{{ '<start_of_turn>model\\n' }}" FI},
    {"phi3", EACH "{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}" END ASK "{{ '<|assistant|>\\n' }}" FI},
    {"phi4", EACH "{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}" END ASK
                  "{{ '<|im_start|>assistant<|im_sep|>' }}" FI},
    {"zephyr",
     EACH "{{ '<|' + m.role + '|>\\n' + m.content ~ eos_token + '\\n' }}" END ASK "{{ '<|assistant|>\\n' }}" FI},
    {"falcon3", EACH "{{ '<|' + m.role + '|>\\n' + m.content + '\\n' }}" END ASK "{{ '<|assistant|>\\n' }}" FI},
    {"vicuna",
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ m.content + '\\n\\n' }}{% elif m.role == 'user' %}"
     "{{ 'USER: ' + m.content + '\\n' }}{% else %}{{ 'ASSISTANT: ' + m.content ~ eos_token + '\\n' }}{% endif %}" END
         ASK "{{ 'ASSISTANT:' }}" FI},
    {"vicuna-orca",
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ 'SYSTEM: ' + m.content + '\\n' }}{% elif m.role == 'user' %}"
     "{{ 'USER: ' + m.content + '\\n' }}{% else %}{{ 'ASSISTANT: ' + m.content ~ eos_token + '\\n' }}{% endif %}" END
         ASK "{{ 'ASSISTANT:' }}" FI},
    {"deepseek", "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
                 "{{ '### Instruction:\\n' + m.content + '\\n' }}{% else %}{{ '### Response:\\n' + m.content + "
                 "'\\n<|EOT|>\\n' }}{% endif %}" END ASK "{{ '### Response:\\n' }}" FI},
    {"deepseek2",
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ m.content + '\\n\\n' }}{% elif m.role == 'user' %}"
     "{{ 'User: ' + m.content + '\\n\\n' }}{% else %}{{ 'Assistant: ' + m.content ~ eos_token }}{% endif %}" END ASK
     "{{ 'Assistant:' }}" FI},
    {"deepseek3",
     "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ m.content + '\\n\\n' }}{% elif m.role == 'user' %}"
     "{{ '<\uFF5CUser\uFF5C>' + m.content }}{% else %}{{ '<\uFF5CAssistant\uFF5C>' + m.content + "
     "'<\uFF5Cend\u2581of\u2581sentence\uFF5C>' }}{% endif %}" END ASK "{{ '<\uFF5CAssistant\uFF5C>' }}" FI},
    {"command-r", "{{ bos_token }}" EACH
                  "{{ '<|START_OF_TURN_TOKEN|>' + {'system': '<|SYSTEM_TOKEN|>', 'user': '<|USER_TOKEN|>'}.get(m.role, "
                  "'<|CHATBOT_TOKEN|>') + m.content | trim + '<|END_OF_TURN_TOKEN|>' }}" END ASK
                  "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}" FI},
    {"chatglm3",
     "{{ '[gMASK]sop' }}" EACH "{{ '<|' + m.role + '|>\\n ' + m.content }}" END ASK "{{ '<|assistant|>' }}" FI},
    {"chatglm4",
     "{{ '[gMASK]<sop>' }}" EACH "{{ '<|' + m.role + '|>\\n' + m.content }}" END ASK "{{ '<|assistant|>\\n' }}" FI},
    {"glmedge", EACH "{{ '<|' + m.role + '|>\\n' + m.content }}" END ASK "{{ '<|assistant|>' }}" FI},
    {"granite", EACH "{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\\n' }}" END ASK
                     "{{ '<|start_of_role|>assistant<|end_of_role|>' }}" FI},
    {"minicpm", EACH "{% if m.role == 'user' %}{{ '<\u7528\u6237>' + m.content | trim + '<AI>' }}{% else %}{{ "
                     "m.content | trim }}{% endif %}" END},
    {"monarch", EACH "{{ ('' if loop.first else bos_token) ~ m.role + '\\n' + m.content ~ eos_token + '\\n' }}" END ASK
                     "{{ bos_token ~ 'assistant\\n' }}" FI},
    {"openchat", "{{ bos_token }}" EACH "{% if m.role == 'system' %}{{ m.content + '<|end_of_turn|>' }}{% else %}"
                 "{{ 'GPT4 Correct ' + m.role | title + ': ' + m.content + '<|end_of_turn|>' }}{% endif %}" END ASK
                 "{{ 'GPT4 Correct Assistant:' }}" FI},
    {"orion", "{{ bos_token }}" HOLD_SYSTEM "{% if m.role == 'user' %}{{ 'Human: ' + (ns.sys + '\\n\\n' if ns.sys else "
              "'') + m.content + '\\n\\nAssistant: ' ~ eos_token }}"
              "{% set ns.sys = '' %}{% else %}{{ m.content ~ eos_token }}{% endif %}" RELEASED},
    {"exaone3",
     EACH "{{ '[|' + m.role + '|]' + m.content | trim + ('\\n' if m.role == 'user' else '[|endofturn|]\\n') }}" END ASK
          "{{ '[|assistant|]' }}" FI},
    {"rwkv-world", HOLD_SYSTEM
     "{% if m.role == 'user' %}{{ 'User: ' + (ns.sys + '\\n\\n' if ns.sys else '') + m.content + '\\n\\nAssistant:' }}"
     "{% set ns.sys = '' %}{% else %}{{ ' ' + m.content + '\\n\\n' }}{% endif %}" RELEASED},
    {"smolvlm",
     "{{ '<|im_start|>' }}" EACH
     "{{ m.role | capitalize + ': ' + m.content + ('\\n\\n' if m.role == 'system' else '<end_of_utterance>\\n') }}" END
         ASK "{{ 'Assistant:' }}" FI},
    {"megrez", EACH "{{ '<|role_start|>' + m.role + '<|role_end|>' + m.content + '<|turn_end|>' }}" END ASK
                    "{{ '<|role_start|>assistant<|role_end|>' }}" FI},
    {"gpt-oss", EACH
     "{{ '<|start|>' + m.role + ('<|channel|>final' if m.role == 'assistant' else '') + '<|message|>' + m.content + "
     "('<|return|>' if m.role == 'assistant' and loop.last else '<|end|>') }}" END ASK "{{ '<|start|>assistant' }}" FI},
    {"exaone4", EACH "{{ '[|' + m.role + '|]' + m.content | trim + ('' if m.role == 'user' else '[|endofturn|]') + "
                     "'\\n' }}" END ASK "{{ '[|assistant|]' }}" FI},
    {"bailing",
     EACH "{{ '<role>' + ('HUMAN' if m.role == 'user' else m.role | upper) + '</role>' + m.content }}" END ASK
          "{{ '<role>ASSISTANT</role>' }}" FI},
    {"hunyuan-moe", EACH "{{ m.content + '<|eos|>' if m.role == 'assistant' else '<|startoftext|>' + m.content + "
                         "('<|extra_4|>' if m.role == 'system' else '<|extra_0|>') }}" END},
    {"hunyuan-dense",
     EACH "{% if m.role == 'system' %}{{ m.content + '<\uFF5Chy_place\u2581holder\u2581no\u25813\uFF5C>' }}"
          "{% elif m.role == 'user' %}{{ '<\uFF5Chy_User\uFF5C>' + m.content }}{% else %}"
          "{{ '<\uFF5Chy_Assistant\uFF5C>' + m.content + '<\uFF5Chy_place\u2581holder\u2581no\u25812\uFF5C>' }}"
          "{% endif %}" END ASK "{{ '<\uFF5Chy_Assistant\uFF5C>' }}" FI},
    {"kimi-k2",
     EACH "{{ '<|im_' + {'user': 'user', 'assistant': 'assistant'}.get(m.role, 'system') + '|>' + m.role + "
          "'<|im_middle|>' + m.content + '<|im_end|>' }}" END ASK "{{ '<|im_assistant|>assistant<|im_middle|>' }}" FI},
    {"seed_oss", EACH "{{ '<seed:bos>' + m.role + '\\n' + (m.content | trim if m.role == 'assistant' else m.content) + "
                      "'<seed:eos>' }}" END ASK "{{ '<seed:bos>assistant\\n' }}" FI},
    {"grok-2", EACH "{{ {'system': 'System: ', 'user': 'Human: '}.get(m.role, 'Assistant: ') + "
                    "(m.content if m.role == 'assistant' else m.content | trim) + '<|separator|>\\n\\n' }}" END ASK
                    "{{ 'Assistant:' }}" FI},
    {"solar-open",
     EACH "{{ '<|begin|>' + m.role + '<|content|>' + m.content + '<|end|>' }}" END ASK "{{ '<|begin|>assistant' }}" FI},
    {0},
};
