/* Chat templates by name, for files that have none or a wrong one. */
#include "text/chat.h"

const chat_builtin chat_builtins[] = {
    {"chatml", "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {0},
};
