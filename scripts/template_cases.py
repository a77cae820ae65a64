#!/usr/bin/env python3
"""Makes tests/unit/template_cases.inc: templates with what jinja2 makes of them.

    scripts/template_cases.py > tests/unit/template_cases.inc

Needs jinja2 3.1. The environment is the one of transformers' apply_chat_template. Where jinja2 fails, the case says so.
"""

import json

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("said"), [], [], body).set_lineno(line)

    def said(self, caller):
        return caller()


def to_json(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
)
ENVIRONMENT.filters["tojson"] = to_json
ENVIRONMENT.globals["raise_exception"] = refuse
ENVIRONMENT.globals["strftime_now"] = lambda f: __import__("datetime").datetime(2026, 11, 20, 12, 34, 56).strftime(f)

VARIABLES = {"s":"Héllo Wörld","e":"","n":7,"z":0,"f":2.5,"neg":-3,"t":True,"fa":False,"no":None,"l":[3,1,2],"ls":["b","A","c"],"el":[],
"d":{"b":1,"a":"x","items":5},"ed":{},"users":[{"name":"Bob","age":30,"c":{"x":1}},{"name":"al","age":25,"c":{"x":2}},{"name":"Cy","age":30}],
"messages":[{"role":"system","content":" S \n"},{"role":"user","content":"Hi <b>&\"'"},{"role":"assistant","content":None,"tool_calls":[{"function":{"name":"f","arguments":{"a":1,"b":[1.5,None,True,"é\u2028\x7f"]}}}]},{"role":"user","content":[{"type":"text","text":"x"},{"type":"image"}]}],
"ml":"a\nb\n\nc\r\nd","big":1e22,"sm":1e-7,"q":"it's","qq":"it's \"q\"","ctl":"\x01\t\\ \u200b é 漢 🚀","nest":[[1,[2,(3)]],{"k":[None]}], "sp":"  a  b c  ", "uni":"ǆß ΑΣ ﬁ İ"}

# Expressions, parted by semicolons.
EXPRESSIONS = '''
s|upper;s|lower;s|title;s|capitalize;s|length;s|trim;s|reverse;s[::-1];s[1:3];s[-3:];s[::2];s[5:1:-2];s[20:];s[-1];s[0];s[99];s[1];uni|upper;uni|lower;uni|title;uni.title();uni.capitalize();
s.split();s.split('l');s.split('l',1);s.rsplit('l',1);sp.split();sp.split(' ');sp.split(None,1);sp.rsplit(None,1);sp.strip();sp.lstrip();sp.rstrip();sp.strip(' a');s.split('')
ml.splitlines();ml.splitlines(true);s.find('l');s.rfind('l');s.index('l');s.index('zz');s.count('l');s.count('');s.startswith('Hé');s.endswith(('x','ld'));s.replace('l','L');s.replace('l','L',1);s.replace('','-');s|replace('l','LL',2)
s.join(['a','b']);','.join(ls);','.join(l);ls|join(',');l|join(',');users|join(',',attribute='name');'{}-{}'.format(1,'a');'{0}{1}{0}'.format(1,2);'{a}'.format(a=3);'{:>5}|{:<5}|{:^5}'.format('a','b','c');'{:05d}'.format(42);'{:.2f}'.format(3.14159);'{:,}'.format(1234567);'{!r}'.format('x');'%s %d %.2f %5s|%-5s|'%('a',3,2.5,'x','y');'%s'%'a';'%(a)s'%{'a':1};'%05d'%42;'%x'%255;'%d%%'%5;'%s %s'%('a',);'%r'%('a',);"%s"|format(3);"%s-%s"|format("a","b")
1+1;1-2;2*3;7/2;7//2;-7//2;7%3;-7%3;7%-3;2**10;2**-1;2**0.5;7.5//2;-7.5%2;1/0;1//0;1%0;1.0+2;3.0;1e5;1e16;1e15;123456789.123;0.1+0.2;1e-5;1e-4;big;sm;-0.0;5.0//0.3;1_000;0x1f;0b101;0o17;1.5e3
'a'+'b';'a'*3;3*'a';'a'+1;[1]+[2];[1]*2;(1,2)+(3,);'a'~1~none~true;1~2;'x' in 'xyz';1 in l;'b' in d;4 not in l;not true;not e;none==none;1==1.0;true==1;'1'==1;[1,2]==[1,2];[1]<[2];'a'<'b';1<2<3;1<2>3;3>2>=2;1<'a';none<1;(1,2);(1,);();[];{};{'a':1,'b':[1,2]};{1:2};{'a':1,'a':2};{true:1,1:2}
t and 0;e or 'x';t and 'y' or 'z';'a' if t else 'b';'a' if fa;('a' if fa) is defined;1 if fa else 2 if t else 3
d.a;d['a'];d.items;d['items'];d.items();d.keys();d.values();d.get('a');d.get('zz');d.get('zz','def');d.zz;d.zz.y;d['zz'];zz;zz.y;zz|default('D');e|default('D');e|default('D',true);no|default('D');zz is defined;zz is undefined;d.a is defined;d.zz is defined;d.pop;d.pop('a');l.append(1);l.append;d.update({});l.sort()
l|sort;l|sort(reverse=true);ls|sort;ls|sort(case_sensitive=true);users|sort(attribute='age')|map(attribute='name')|list;users|sort(attribute='age,name')|map(attribute='name')|join;d|dictsort;d|dictsort(by='value');{'b':2,'a':3}|dictsort(by='value');{'b':2,'a':3}|dictsort(reverse=true);users|groupby('age');users|groupby('age')|list;users|map(attribute='c.x')|list;users|map(attribute='zz',default='?')|list;users|selectattr('age','equalto',30)|map(attribute='name')|list;users|rejectattr('age','equalto',30)|list|length;users|selectattr('c')|list|length;users|selectattr('c','defined')|list|length;l|select('odd')|list;l|reject('odd')|list;l|select|list;l|map('string')|list;l|map('upper')|list;ls|map('upper')|join;l|sum;users|sum(attribute='age');l|sum(start=10);l|min;l|max;el|min;ls|min;ls|max(case_sensitive=true);l|first;l|last;el|first;el|first is defined;s|first;s|last;l|unique|list;[1,1,2,'a','A']|unique|list;l|batch(2)|list;l|batch(2,'x')|list;l|slice(2)|list;l|slice(2,'x')|list;l|reverse|list;l|length;d|length;n|length;d|list;s|list;d|items|list;zz|items|list;d|count
n|string;f|string;n|int;'42'|int;'4.7'|int;'x'|int;'x'|int(5);'ff'|int(0,16);' 12 '|int;'0x1f'|int(0,16);f|int;'1e3'|float;'x'|float;'3'|float;n|float;-5|abs;neg|abs;(-2.5)|abs;2.567|round(2);2.5|round;3.5|round;2.4|round|int;7|round;2.1|round(0,'ceil');2.9|round(method='floor');1234|round(-2);2.675|round(2)
no|tojson;d|tojson;l|tojson;s|tojson;ctl|tojson;messages|tojson;messages|tojson(indent=2);messages|tojson(ensure_ascii=true);d|tojson(separators=(',',':'));{'b':1,'a':2}|tojson(sort_keys=true);[]|tojson(indent=2);{}|tojson(indent=2);[1,[2,{}]]|tojson(indent=4);[1.0,1e100,0.1,true,none]|tojson;{1:2,none:3,true:4,1.5:5}|tojson;zz|tojson;(1,2)|tojson;d.keys()|tojson;l|map('string')|tojson;[1]|tojson(indent='--');d|tojson(indent=0);{'a':{'b':1}}|tojson(indent=2,separators=(',',':'))
s|e;messages[1].content|e;messages[1].content|escape|upper;('<'|safe)+'<';'<'+('<'|safe);('<'|safe)~'<';'<'|e|e;('<'|e)|string;('a<'|safe).replace('a','<');['<'|safe,'<']|join;['<']|join('<'|safe)
ml|indent;ml|indent(2);ml|indent(2,true);ml|indent(2,true,true);ml|indent('> ');ml|indent(width=3,first=true);'a\\n'|indent;''|indent;5|indent;s|wordcount;'a-b c_d 1'|wordcount;'hello world foo'|truncate(9);'hello world foo'|truncate(9,true);'hello world foo'|truncate(13,leeway=0);'ab'|center(6);s.center(21);s.center(20);'a'.ljust(3);'a'.rjust(3,'-');'-42'.zfill(6);'7'.zfill(3);'<p>a  b</p>'|striptags;'a b/ü'|urlencode;"foo bar"|title;"foo-bar (baz)"|title;"it's"|title;"it's".title()
n is number;n is integer;f is float;n is float;t is integer;t is boolean;t is number;s is string;l is sequence;d is sequence;d is mapping;s is iterable;n is iterable;zz is iterable;zz is sequence;l is iterable;no is none;zz is none;t is true;fa is false;n is odd;n is even;n is divisibleby(7);n is divisibleby 3;n is eq 7;n is gt 3;n is lt(3);n is ge 7;n is le 6;n is ne 7;n is in [7];s is lower;'a' is lower;'A' is upper;'' is lower;'upper' is filter;'zz' is filter;'odd' is test;range is callable;n is callable;none is sameas none;n is sameas 7;l is sameas l;n is not odd;not n is odd;n is equalto 7;n is string;range(3) is sequence;range(3) is iterable;(l|map('string')) is sequence;(l|map('string')) is iterable;d.items() is sequence;d.items() is iterable;x is zz;n|zzz
range(5)|list;range(1,5)|list;range(5,0,-2)|list;range(3);range(1,9,2);range(5)[2];range(5)[1:3]|list;range(0)|length;range('a');range(10)|last;2 in range(3)
dict(a=1,b=2);dict([('a',1)]);dict({'x':1},y=2);namespace(a=1);namespace(a=1).a;namespace(a=1).b is defined;namespace({'a':2}).a
l[0];l[-1];l[5];l[5] is defined;l['0'];l[1:];l[:-1];l[::-1];l[0:10:2];l[1.0];(1,2,3)[1:];l.0;users.0.name;users[0]['name'];users[0]["c"].x;d[none];d[[]];nest[0][1][0];s.upper;s.upper();s.zz;s.zz();n.zz;n();none.x;no.x;true.x;l[l[1]]
l;ls;d;nest;q;qq;ctl;[q,qq,ctl];uni;[uni];t;no;fa;[no,t,1.0,'a',(1,)];'a' 'b';"a\\tb\\x41\\u00e9\\101\\q";'\\N{DASH}';'\\xZZ';messages;zz;[zz];d.values();d.items();{'a':zz};[1,2|string];-n;+n;-s;--n;- -n;not not n;-n|abs;2**3**2;-2**2;1+2*3-4/2;(1+2)*3;1 - 1 ~ 2;'a'~1+2;10-2-3;2*3%4;5 in l == true;1 in l and 2 in l;n == 7 and not fa;n is odd and t;n is odd or zz.a;'%s'|format(n)|upper;n|string|length;l|length > 2;l|length+1;n*'a'|length
'a'.isdigit();'12'.isdigit();''.isdigit();'²'.isdigit();'12'.isnumeric();'ab'.isalpha();'a1'.isalnum();' '.isspace();'AB'.isupper();'aB'.islower();;s.casefold();'a,b,c'.partition(',');'a,b,c'.rpartition(',');'abc'.partition('x');'abc'.rpartition('x');'prefix'.removeprefix('pre');'prefix'.removesuffix('ix');l.index(1);l.index(9);l.count(1);(1,2,1).count(1);d.copy();l.copy();n.bit_length();f.is_integer();2.0.is_integer();ls.__len__();s.__class__;s.__class__.__mro__;''.join.__func__;d.__zz__;d._a;l|attr('append');d|attr('a');d|attr('items');s|attr('upper')
9223372036854775807;9223372036854775807+0;1000000*1000000;2**62;1e400;
strftime_now('%Y-%m-%d %H:%M:%S %B %d %b %j %A');raise_exception('bad '~n);messages[1]['content'];messages[2].tool_calls[0].function.arguments|tojson;messages|selectattr('role','eq','user')|map(attribute='content')|list;messages|map(attribute='role')|unique|join(', ');(messages|last).role;messages[-1].content|map(attribute='type')|list;messages|length-1;messages[1:]|length;messages[::-1][0].role;messages|selectattr('role','in',['user','system'])|list|length;messages|rejectattr('role','==','user')|map(attribute='role')|join('|');messages|first|attr('items');(messages|selectattr('content','string')|list)[0].role;if(1);1 if;[1,2;(1;{'a':1;'abc;f(;a b;1 2;|upper;a|;a is;a is not;a.;a[;a[];d[1,2];l[1,2];l[:];a..b;'a'|upper|lower|title;l|map('int')|sum;'a=b'.split('=')[1];'k: v'.split(': ',1)|last;'a'|string is string;*a;f(*l);range(*[1,3])|list;range(**{});dict(**{'a':1});dict(**d);'{}{}'.format(*ls);;cycler(1);joiner();loop;super();varargs;caller();true|string;True;False;None;TRUE;nOne
l|join(', ')|upper;ls|map('replace','b','X')|list;ls|map('default','x')|list;[none,1]|map('default','x',true)|list;users|map(attribute='name')|map('lower')|sort|join;['a','b']|map('format',1)|list;['%s']|map('format',1)|list;l|map('tojson')|join;l|select('gt',1)|list;l|select('in',[1,2])|list;l|select('divisibleby',2)|list;ls|select('equalto','b')|first;ls|select('zzz')|list;ls|map('zzz')|list;ls|map|list;l|select('eq')|list;users|selectattr|list;d|map('upper')|list;s|map('upper')|join;n|map('upper')|list;no|list;n|list;no|join;n|first;no|length;d|first;d|last;d|reverse|list;s|sort|join;d|sort;no|upper;n|upper;t|lower;l|upper;l|trim;no|trim;f|trim;zz|trim;zz|upper;zz|length;zz|list;zz|join;zz|first;zz|int;zz|float;zz|string;zz|abs;zz|sum;zz|sort;zz|unique|list;zz|dictsort;zz|map('upper')|list;zz+1;1+zz;zz~1;zz==zz;zz==none;zz in l;1 in zz;'a' in zz;zz in 'a';zz<1;-zz;zz();zz[0];not zz;zz or 1;zz|e;zz|safe;zz|indent;zz|replace('a','b');zz|title;zz|reverse;zz|round;zz|wordcount;zz|batch(2)|list;zz|groupby('a')|list;zz|tojson;zz|format;'a'.startswith(zz);'a'.replace(zz,'b');l[zz];l[zz:];d[zz];range(zz);s.split(zz);','.join(zz);'%s'%zz;'%d'%zz;'{}'.format(zz)
sp|wordwrap(3);'well-known facts -- and one a-b-c or ab--cd'|wordwrap(7);'a well-known fact'|wordwrap(4,false);ml|wordwrap(2,wrapstring='|');'abc def'|wordwrap(2,break_on_hyphens=false);n|wordwrap;'x'|wordwrap(0);zz|wordwrap;''|wordwrap(5);{'a':1,'b':none,'c':'<"'}|xmlattr;{'a':1}|xmlattr(false);{'a b':1}|xmlattr;ed|xmlattr;l|xmlattr;1|filesizeformat;999|filesizeformat;123456|filesizeformat;1024|filesizeformat(true);'2e9'|filesizeformat;'x'|filesizeformat;d|urlencode;[('a b','c/d')]|urlencode;l|urlencode
n[:0];d[1:];no[1:];zz[1:];d|attr(3);f|truncate;l|truncate(3);l|truncate(9);d|truncate(2);users|map(attribute='c.x',default='?')|list;users|groupby('c.x',default=0)|list;['a','b']|unique(attribute='zz')|list;s.split(' ',none);s.replace('l','L',none);s.find('l',none,none);s.center(none);range(9)[2:7:2];range(5)[::-1];range(5)[9:];range(5)[1:4]|list;range(10)[::-3]|list;no|map('upper')|list;zz|map(attribute='a')|list;{zz:1}[yy];zz in d;d.get(zz);zz|truncate;'x'%zz;'x'%l;[zz,yy,1]|unique|list|length;{zz:1}|tojson;l|map('string')|reverse;l|map('string')|reverse|length;l|slice(2)|reverse;s.isascii();'a'.isascii();''.isascii();s.isprintable();ctl.isprintable();'a\u00a0'.isprintable();s.istitle();'Ab C1d'.istitle();'AB'.istitle();''.istitle();'A1B'.istitle();'a\tbc\td\n\te'.expandtabs();'a\tbc\td'.expandtabs(4);'a\tb'.expandtabs(0);'é\tb'.expandtabs(tabsize=3)
'''

# Whole templates.
TEMPLATES = [
"{% filter length %}abc{% endfilter %}","{% filter int %}12{% endfilter %}","{% set x | length %}abc{% endset %}{{ x }}",
"{% for x in l %}{{loop.index}}{{loop.index0}}{{loop.revindex}}{{loop.revindex0}}{{loop.first}}{{loop.last}}{{loop.length}}{{loop.previtem}}{{loop.nextitem}}{{loop.depth}}{{loop.depth0}}{{loop.cycle('a','b')}}{{loop.changed(x)}},{% endfor %}",
"{% for x in l if x > 1 %}{{x}}{{loop.length}}{{loop.last}}{% else %}none{% endfor %}","{% for x in [] %}a{% else %}E{% endfor %}","{% for x in l if x>9 %}a{% else %}E{% endfor %}",
"{% for k,v in d.items() %}{{k}}={{v}};{% endfor %}","{% for k in d %}{{k}}{% endfor %}","{% for a,b in [(1,2),(3,4)] %}{{a}}{{b}}{% endfor %}","{% for a,b in [1] %}{% endfor %}","{% for (a,b),c in [((1,2),3)] %}{{a}}{{b}}{{c}}{% endfor %}",
"{% for x in l %}{% if x==1 %}{% continue %}{% endif %}{{x}}{% endfor %}","{% for x in l %}{% if x==1 %}{% break %}{% endif %}{{x}}{% endfor %}","{% break %}","{% for x in l %}{% break %}{% else %}E{% endfor %}",
"{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{x}}{% endfor %}{{x}}","{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ns.x}}","{% set ns = 1 %}{% set ns.x = 2 %}","{% set a, b = 1, 2 %}{{a}}{{b}}","{% set a = 1, 2 %}{{a}}","{% set x %}hi {{n}}{% endset %}{{x|upper}}","{% set x | upper %}hi{% endset %}{{x}}","{% set x | upper | replace('H','J') %}hi{% endset %}{{x}}",
"{% if fa %}a{% elif t %}b{% else %}c{% endif %}","{% if zz %}a{% endif %}b","{% if zz is defined and zz.a %}x{% endif %}","{% set x = 1 if t else 2 %}{{x}}",
"{% macro m(a, b=2, *c) %}{% endmacro %}","{% macro m(a,b=2) %}{{a}}-{{b}};{% endmacro %}{{m(1)}}{{m(1,3)}}{{m(b=5,a=4)}}{{m()}}","{% macro m(a) %}{{varargs}}{{kwargs}}{% endmacro %}{{m(1,2,3,x=4)}}","{% macro m(a) %}{{a}}{% endmacro %}{{m(1,2)}}","{% macro m(a) %}{{a}}{% endmacro %}{{m(x=2)}}","{% macro m(a) %}{{a}}{% endmacro %}{{m(1,a=2)}}","{% macro m(a, b=a) %}{{a}}{{b}}{% endmacro %}{{m(1)}}","{% macro m() %}[{{caller()}}]{% endmacro %}{% call m() %}x{% endcall %}","{% macro m() %}[{{caller(1,2)}}]{% endmacro %}{% call(a,b) m() %}{{a+b}}{% endcall %}","{% macro m() %}{{caller is defined}}{% endmacro %}{{m()}}","{% macro m(n) %}{{n}}{% if n > 0 %}{{m(n-1)}}{% endif %}{% endmacro %}{{m(5)}}","{{m()}}{% macro m() %}x{% endmacro %}","{% macro m() %}{{x}}{% endmacro %}{% set x=2 %}{{m()}}","{% for x in l %}{% macro m() %}{{x}}{% endmacro %}{{m()}}{% endfor %}","{% macro m() %}{{loop}}{% endmacro %}{% for i in l %}{{m()}}{% endfor %}","{% macro m(x) %}{% set x = x+1 %}{{x}}{% endmacro %}{{m(1)}}{{x}}","{% macro m(x) -%}  a {{x}}  {%- endmacro %}[{{m(1)}}]","{{ m }}{% macro m() %}{% endmacro %}{{ m }}{{m.name}}",
"{% with a=1, b=2 %}{{a}}{{b}}{% endwith %}{{a}}","{% with a=1 %}{% with b=a %}{{b}}{% endwith %}{% endwith %}","{% filter upper %}abc{{n}}{% endfilter %}","{% filter replace('a','b')|upper %}abc{% endfilter %}","{% raw %}{{ x }}{% y %}{% endraw %}","{% raw -%}  a  {%- endraw %}","  {% raw %}\n x{% endraw %}\n y","{% generation %}{% set q2=1 %}a{% endgeneration %}{{q2}}","{% block a %}x{% endblock %}","{% block a %}x{% endblock a %}","{% print 1, 2 %}","{% include 'a' %}","{% extends 'a' %}","{% import 'a' as b %}","{% do 1 %}","{% zz %}","{% if %}","{% endif %}","{% if t %}","{% for x in l %}","{% for x l %}{% endfor %}","{% set %}","{% set 1 = 2 %}","{% set none = 2 %}","{% set a.b.c = 1 %}","{% set a['x'] = 1 %}","{% macro %}{% endmacro %}","{{","{%","a {{ x","{% if t %}{% endfor %}","{{ }}","{% %}","{# a #}b","{#- a -#}  b","a  {#- x #} b",
"a\n  {% if t %}\n  b\n  {% endif %}\n c","a\n  {%+ if t %}\n  b\n  {%+ endif %}\n c","a\n  {%- if t -%}\n  b\n  {%- endif -%}\n c","  {{ n }}\n  {{- n }}  \n {{ n -}}\n x","{% if t +%}\n b{% endif %}","{% if t %} \n b{% endif %}","{% if t %}\n\n b{% endif %}","a {# c #}\nb","  {# c #}\nb","  {#- c -#}\n b","  {#+ c +#}\n b","x\n","x\n\n","\n","x\r\ny\r\n","{{ 'a\r\nb' }}","  {% set x=1 %}  {% set y=2 %}\nz","{% set x=1 %}\n  {% set y=2 %}z","\t{% if t %}x{% endif %}\t\n","{{n}}\n","{{n}}\n\n{{n}}","a{% if t %}b{% endif %}\nc","{% for i in l %}\n  {{ i }}\n{% endfor %}","{% for i in l -%}\n  {{ i }}\n{%- endfor %}","{% if t %}\n{{ n }}\n{% endif %}\n","{{ '{{' }}{{ '}}' }}{{ '%}' }}","{{ {'a':{'b':1}}['a']['b'] }}","{{ {'a':{'b':{}}} }}","{{ [1,2][0] }}}","{ { n } }","{{n}}}}","%}","{%- if t -%} a {%- else -%} b {%- endif -%}","   {%- set x = 1 -%}   y",
"{% set l2 = l + [4] %}{{l2}}{{l}}","{% set d2 = dict(d, c=3) %}{{d2}}","{% set _ = l.append(4) %}","{% set ns = namespace(l=[]) %}{% set ns.l = ns.l + [1] %}{{ns.l}}{{ns}}","{% set ns = namespace() %}{% set ns.a = 1 %}{{ns.a}}{{ns.b}}{{ns.b is defined}}",
"{% for m in messages %}{% if m.content is string %}{{m.role}}:{{m.content|trim}}\n{% elif m.content is none %}NONE{% else %}{% for p in m.content %}{{p.type}}{{p.text if p.text is defined else ''}}{% endfor %}{% endif %}{% endfor %}",
"{% for m in messages %}{{loop.index}}{% for p in l %}{{loop.index}}{% endfor %}{% endfor %}","{% for i in range(3) %}{% for j in range(2) %}{{i}}{{j}}{{loop.index}} {% endfor %}{{loop.index}}{% endfor %}","{% for x in l %}{% set y = x %}{% endfor %}{{y}}","{% if t %}{% set y = 1 %}{% endif %}{{y}}","{% for x in l %}{{y}}{% set y = x %}{% endfor %}","{% for l in l %}{{l}}{% endfor %}{{l}}","{% set x = l|map('string') %}{{x|list}}{{x|list}}","{% for x in l|map('string') %}{{loop.length}}{{x}}{% endfor %}","{% set g = l|select('odd') %}{% if g %}T{% endif %}{{g|first}}{{g|list}}","{% set ns = namespace(f=false) %}{% for x in l if not ns.f %}{{x}}{% set ns.f = true %}{% endfor %}","{% for x in s %}{{x}}-{% endfor %}","{% for x in 5 %}{% endfor %}","{% for x in none %}{% endfor %}","{% for x in zz %}{% else %}E{% endfor %}","{% for x in zz.y %}{% endfor %}","{% for k, v in d|items %}{{k}}{% endfor %}","{% for k, v in d|dictsort %}{{k}}{% endfor %}","{% for x in d.values() %}{{x}}{% endfor %}","{% for x in 1,2 %}{{x}}{% endfor %}","{% for x in (1,2) if x == 1 %}{{x}}{% endfor %}","{% for g, us in users|groupby('age') %}{{g}}:{{us|map(attribute='name')|join}} {% endfor %}","{% for g in users|groupby('age') %}{{g.grouper}}:{{g.list|length}} {% endfor %}",
"{% set x = {'a': 1} %}{% for k in x %}{{ x[k] }}{% endfor %}","{%set x=1%}{{x}}","{%-set x=1-%} {{x}}","{{ x if x is defined else 'no' }}","{% if 'a' in d and d['a'] == 'x' %}Y{% endif %}","{{ (l|length) - 1 }}{{ l|length - 1 }}","{% if not (zz is defined and zz) %}Y{% endif %}","{% set a = [] %}{% if a %}x{% else %}y{% endif %}","{% if messages[0]['role'] == 'system' %}{% set sm = messages[0]['content'] %}{% set lm = messages[1:] %}{% else %}{% set lm = messages %}{% endif %}{{lm|length}}{{sm}}","{% set c = namespace(n=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set c.n = c.n + 1 %}{% endif %}{% endfor %}{{c.n}}","{{ loop is defined }}{% for i in [1] %}{{ loop is defined }}{% endfor %}","{% if true %}{{ 1|zzf }}{% endif %}","{% if false %}{{ 1|zzf }}{% endif %}ok","{{ 1|zzf if false else 2 }}","{% if false %}{% for i in l %}{{ i|zzf }}{% endfor %}{% endif %}","{% if false %}{{ 1 is zzt }}{% endif %}ok","{% set x %}a{% set y = 1 %}{% endset %}{{y}}{{x}}","{{ 'a' if true }}{{ ('a' if false) }}{{ ('a' if false) is defined }}","{{ ('a' if false).x }}","{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}","{% macro f(x) %}{{ x.y }}{% endmacro %}{{ f({'y':1}) }}{{ f() }}","{% set f = s.upper %}{{ f() }}","{% set f = d.get %}{{ f('a') }}","{{ loop.index }}","{% for i in l %}{{ loop.zz }}{{ loop['index'] }}{% endfor %}","{% for i in l %}{{ loop.nextitem is defined }}{{ loop.previtem is defined }}{% endfor %}","{% for i in l %}{% if loop.nextitem and loop.nextitem > i %}<{% endif %}{% endfor %}","{% for m in messages %}{% if (loop.last or (not loop.last and messages[loop.index0 + 1].role == 'user')) %}{{loop.index}}{% endif %}{% endfor %}",
"{%- macro r(o, k='') -%}{%- if o is mapping -%}{ {%- for a, b in o.items() -%}{{a}}:{{ r(b) }}{{ ',' if not loop.last }}{%- endfor -%}}{%- elif o is string -%}\"{{o}}\"{%- elif o is iterable -%}[{%- for b in o -%}{{ r(b) }}{{ ',' if not loop.last }}{%- endfor -%}]{%- else -%}{{o}}{%- endif -%}{%- endmacro -%}{{ r(messages[2].tool_calls) }}",
"{{ '' }}\n{{- '' }}\n","{% set x = '\\n' %}a{{ x }}b","{{ \"a\\\\n\" }}","{{ 'é' }}{{ \"\\u00e9\" }}","é{{ 'a' }}漢\n","{{ s[:3] ~ '…' }}","\u00a0{%- if t %}x{% endif %}","a\u2003{%- if t %}x{% endif %}","{{- 1 -}}\u3000 b","\u00a0{% if t %}x{% endif %}","\x1f{% if t %}x{% endif %}","{% set x = [1,2,3] %}{{ x[1:] }}{% set x = x + [4] %}{{ x }}","{{ [1,2,3].__class__ }}","{{ ''.__class__.__mro__[1].__subclasses__() }}","{{ messages.__init__ }}","{% for a in [1,2] %}{% for b in [3] %}{{ loop.parent }}{% endfor %}{% endfor %}","{% set x = namespace(a={}) %}{% set x.a = dict(x.a, k=1) %}{{ x.a }}","{{ {'a':1}.items()|list }}{{ ({'a':1}.items()|list)[0][1] }}","{{ dict(a=1) == {'a':1} }}","{{ [1,'a',none]|tojson|length }}","{{ messages|map(attribute='content')|select('string')|join('\\n') }}","{{ users|map(attribute='name')|map('upper')|list|join(' ') }}","{% set t1 = 'a' %}{% if t1 == 'a' %}{% set t1 = 'b' %}{% endif %}{{ t1 }}","{{ 1 if 2 if 0 else 3 else 4 }}","{{ 1 if 0 else 2 if 0 else 3 }}","{%- for i in range(0, 5, 2) -%}{{ i }}{%- if not loop.last %}, {% endif -%}{%- endfor -%}","{% call undefined_macro() %}{% endcall %}","{% call n %}{% endcall %}","{% macro outer() %}{% macro inner() %}I{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}","{% macro m(a, a) %}{% endmacro %}","{% macro m(a=1, b) %}{% endmacro %}","{% set a = b = 1 %}","{{ a = 1 }}","{{ f(a=1, 2) }}","{{ f(a=1, a=2) }}","{{ dict(a=1, a=2) }}","{% if a = 1 %}{% endif %}","{{ 1 === 1 }}","{{ a && b }}","{{ !a }}","{{ a ? b : c }}","{{ a; b }}","{{ 'unterminated }}","{{ \"\\x\" }}","{{ 'a\nb' }}\n{{ zz.y }}","{{ 1.e5 }}","{{ 1.x }}","{{ .5 }}","{{ 5. }}","{{ 1__0 }}","{{ 01 }}","{{ 00 }}","{{ 0_0 }}","{{ a@b }}","{{ $a }}","{{ `a` }}","{{ a\\b }}","{% if t:%}x{% endif %}","{% for i in l: %}{{i}}{% endfor %}","{{ (1,2,) }}{{ [1,2,] }}{{ {'a':1,} }}{{ range(3,)|list }}","{{ [,] }}","{{ (,) }}","{{ 1, 2 }}","{{ 1, }}","{% set x = 1, %}{{ x }}","{{ not }}","{{ and }}","{{ in }}","{% set in = 1 %}","{% set if = 1 %}{{ if }}","{{ is }}","{% set loop = 1 %}{{ loop }}{% for i in l %}{{ loop.index }}{% endfor %}{{ loop }}","{% for loop in l %}{% endfor %}","{% set range = 5 %}{{ range }}","{% set namespace = 5 %}{{ namespace }}","{% for i in l %}{% set loop = 3 %}{{ loop }}{% endfor %}"
]


def c_string(text):
    out = ""
    for byte in text.encode("utf-8", "surrogatepass"):
        char = chr(byte)
        if char in '"\\?':
            out += "\\" + char
        elif 0x20 <= byte < 0x7F:
            out += char
        else:
            out += f"\\{byte:03o}"
    return '"' + out + '"'


def main():
    expressions = [e for line in EXPRESSIONS.strip().split("\n") for e in line.split(";") if e]
    print("/* Made by scripts/template_cases.py with jinja2; do not edit. */")
    print("/* clang-format off */")
    print(f"static const char variables[] = {c_string(json.dumps(VARIABLES))};\n")
    print("/* {template, what comes out, or NULL: an error} */")
    print("static const char *const cases[][2] = {")
    for template in ["{{ " + e + " }}" for e in expressions] + TEMPLATES:
        try:
            out = ENVIRONMENT.from_string(template).render(**VARIABLES)
        except Exception:
            out = None
        if out is not None and " object at 0x" in out:
            continue
        print(f"    {{{c_string(template)}, {'NULL' if out is None else c_string(out)}}},")
    print("};")


main()
