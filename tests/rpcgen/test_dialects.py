"""Every departure from the RFCs' grammar that real .x files make, one row each: what it says and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdr_values import compiled, module_of, module_of_text

from nfsrpc.rpcgen.compiler import Options, compile_file
from nfsrpc.xdr import XdrError, decode, encode

# rule: (.x text, type, value as an expression over the module `m`, bytes in hex)
TYPES = {
    "% lines are left out": ("%#include <stdio.h>\ntypedef int t;", "t", "1", "00000001"),
    "% line with a continuation": ("%#define A \\\n  not C at all (\ntypedef int t;", "t", "1", "00000001"),
    "% line that is indented, inside an enum": ("enum t { A = 1,\n  %/* C */\n B = 2 };", "t", "m.B", "00000002"),
    "#define as a size": ("#define SIZE 3\ntypedef opaque t[SIZE];", "t", "b'abc'", "61626300"),
    "#define with an expression": ("#define SIZE (1 << 2)\ntypedef opaque t[SIZE];", "t", "b'abcd'", "61626364"),
    "#define of a #define": ("#define A 2\n#define B A\ntypedef int t[B];", "t", "[1, 2]", "0000000100000002"),
    "#undef": ("#define A 2\n#undef A\nconst A = 1;\ntypedef int t[A];", "t", "[1]", "00000001"),
    "%#define as a size": ("%#define SIZE 2\ntypedef opaque t[SIZE];", "t", "b'ab'", "61620000"),
    "#ifdef RPC_HDR": ("#ifdef RPC_HDR\ntypedef int t;\n#else\ntypedef hyper t;\n#endif", "t", "1", "00000001"),
    "#ifndef": ("#ifndef RPC_XDR\nrubbish $$\n#else\ntypedef int t;\n#endif", "t", "1", "00000001"),
    "#if defined and operators": (
        "#if defined(RPC_CLNT) && (1 + 1 == 2) || NOPE\ntypedef int t;\n#endif", "t", "1", "00000001",
    ),
    "#elif": ("#if 0\n#elif 1\ntypedef int t;\n#elif 1\nbad\n#else\nbad\n#endif", "t", "1", "00000001"),
    "nested #if in a skipped part": (
        "#if 0\n#if 1\nbad $\n#endif\n#else\ntypedef int t;\n#endif", "t", "1", "00000001",
    ),
    "#if in the middle of a struct": (
        "struct t {\n int a;\n#ifdef NOPE\n int b;\n#endif\n};", "t", "m.t(1)", "00000001",
    ),
    "# directive in a comment": ("/*\n#if 0\n*/\ntypedef int t;", "t", "1", "00000001"),
    "directive with a backslash": ("#if 0 \\\n || 1\ntypedef int t;\n#endif", "t", "1", "00000001"),
    "// comment": ("// one\ntypedef int t; // two", "t", "1", "00000001"),
    "struct tag in front of a field's type": (
        "struct a { int x; };\nstruct t { struct a one; };", "t", "m.t(m.a(1))", "00000001",
    ),
    "struct tag of itself": ("struct t { int x; struct t *next; };", "t", "m.t(1, None)", "0000000100000000"),
    "union and enum tags": (
        "enum e { A = 1 };\nunion u switch (enum e x) { case A: void; };\nstruct t { union u y; enum e z; };",
        "t", "m.t(m.u(m.A), m.A)", "0000000100000001",
    ),
    "bare unsigned": ("typedef unsigned t;", "t", "2**32 - 1", "ffffffff"),
    "char": ("typedef char t;", "t", "-2", "fffffffe"),
    "unsigned char": ("typedef unsigned char t;", "t", "255", "000000ff"),
    "short": ("typedef short t;", "t", "-3", "fffffffd"),
    "unsigned short int": ("typedef unsigned short int t;", "t", "65535", "0000ffff"),
    "long": ("typedef long t;", "t", "-1", "ffffffff"),
    "unsigned long": ("typedef unsigned long t;", "t", "1", "00000001"),
    "long long": ("typedef long long t;", "t", "-1", "ffffffffffffffff"),
    "u_char": ("typedef u_char t[2];", "t", "[1, 2]", "0000000100000002"),
    "u_short": ("typedef u_short t;", "t", "7", "00000007"),
    "u_int": ("typedef u_int t;", "t", "7", "00000007"),
    "u_long": ("typedef u_long t;", "t", "7", "00000007"),
    "quad_t": ("typedef quad_t t;", "t", "-1", "ffffffffffffffff"),
    "u_quad_t": ("typedef u_quad_t t;", "t", "1", "0000000000000001"),
    "int8_t": ("typedef int8_t t;", "t", "-1", "ffffffff"),
    "uint16_t": ("typedef uint16_t t;", "t", "65535", "0000ffff"),
    "int32_t": ("typedef int32_t t;", "t", "-1", "ffffffff"),
    "uint64_t": ("typedef uint64_t t;", "t", "2**64 - 1", "ffffffffffffffff"),
    "u_int32_t": ("typedef u_int32_t t;", "t", "1", "00000001"),
    "a file's own typedef of a C name": (
        "typedef unsigned hyper uint32_t;\ntypedef uint32_t t;", "t", "1", "0000000000000001",
    ),
    "enum members without values": ("enum t { A, B = 5, C };", "t", "m.C", "00000006"),
    "enum with a comma at the end": ("enum t { A = 1, };", "t", "m.A", "00000001"),
    "enum value from another constant": ("const K = 4;\nenum t { A = K };", "t", "m.A", "00000004"),
    "enum value from another member": ("enum t { A = 2, B = A };", "t", "m.B", "00000002"),
    "enum value beyond 31 bits": ("enum t { A = 0xffffffff };", "t", "m.A", "ffffffff"),
    "negative enum value": ("enum t { A = -7 };", "t", "m.A", "fffffff9"),
    "octal constant": ("const N = 010;\ntypedef opaque t[N];", "t", "b'12345678'", "3132333435363738"),
    "hexadecimal constant": ("const N = 0x4;\ntypedef opaque t[N];", "t", "b'1234'", "31323334"),
    "constant from a constant": ("const A = 4;\nconst B = A;\ntypedef opaque t[B];", "t", "b'1234'", "31323334"),
    "constant expression": ("const A = (2 + 3 * 4 - 6) / 2;\ntypedef opaque t[A];", "t", "b'1234'", "31323334"),
    "constant used before its definition": ("typedef opaque t[A];\nconst A = 4;", "t", "b'1234'", "31323334"),
    "type used before its definition": ("struct t { later x; };\ntypedef int later;", "t", "m.t(1)", "00000001"),
    "namespace": ("namespace a { namespace b { typedef int t; } }", "t", "1", "00000001"),
    "qualified names": (
        ("namespace n { enum color { RED = 3, BLUE = 4 }; }\n"
        "union t switch (n::color c) { case n::RED: void; case ::BLUE: void; };"),
        "t", "m.t(m.RED)", "00000003",
    ),
    "one name in two namespaces": (
        ("enum color { RED = 1 };\nnamespace n { enum shade { DARK, RED }; union t switch (shade s) { case DARK: void;"
         " case RED: shade x; }; }"),
        "t", "m.t(m.n_RED, m.shade.n_RED)", "0000000100000001",
    ),
    "one type in two namespaces": (
        ("namespace a { typedef int u; struct s { u x; }; }\n"
         "namespace b { typedef hyper u; struct s { u x; a::s *y; }; }\nstruct t { b::s one; ::a::u two<>; };"),
        "t", "m.t(m.b_s(1, m.a_s(2)), [3])", "000000000000000100000001000000020000000100000003",
    ),
    "label qualified by its enum": (
        ("enum c { RED = 1 };\nnamespace n { enum d { RED = 2 };"
         " union t switch (c x) { case c::RED: void; }; }"),
        "t", "m.t(m.RED)", "00000001",
    ),
    "enum without values inside an arm": (
        "union t switch (int c) { case 4: enum { ONE, TWO } num; };", "t", "m.t(4, m.TWO)", "0000000400000001",
    ),
    "arm named like the discriminant": (
        "union t switch (int stat) { case 1: hyper stat; };", "t", "m.t(1, stat_=2)", "000000010000000000000002",
    ),
    "a variable behind a definition": ("struct t { int x; } ignored;", "t", "m.t(1)", "00000001"),
    "one typedef twice": ("typedef opaque t<4>;\ntypedef  opaque t<4>;", "t", "b'ab'", "0000000261620000"),
    "flavours of <rpc/auth.h>": (
        "union t switch (unsigned f) { case RPCSEC_GSS: int x; default: void; };", "t", "m.t(6, 1)", "0000000600000001",
    ),
    "a file's own flavours": (
        "enum flavor { AUTH_NONE = 0, RPCSEC_GSS = 7 };\ntypedef flavor t;", "t", "m.RPCSEC_GSS", "00000007",
    ),
    "typedef struct with a tag": ("typedef struct t { int x; } t;", "t", "m.t(1)", "00000001"),
    "typedef struct without a tag": ("typedef struct { int x; } t;", "t", "m.t(1)", "00000001"),
    "typedef struct under another name": ("typedef struct a { int x; } t;", "t", "m.a(1)", "00000001"),
    "typedef enum": ("typedef enum { A = 1 } t;", "t", "m.A", "00000001"),
    "typedef of a struct by its tag": ("struct a { int x; };\ntypedef struct a t;", "t", "m.a(1)", "00000001"),
    "typedef of a pointer to a later struct": (
        "typedef struct node *t;\nstruct node { int x; t next; };", "t", "m.node(1, None)", "000000010000000100000000",
    ),
    "nested struct without a name": ("struct t { struct { int x; } in; };", "t", "m.t(m.t_in(1))", "00000001"),
    "nested enum as a discriminant": (
        "union t switch (enum { A = 1 } x) { case A: int y; };", "t", "m.t(m.A, 5)", "0000000100000005",
    ),
    "nested union in a union's arm": (
        "union t switch (int x) { case 0: union switch (int y) { case 1: int z; } in; };",
        "t", "m.t(0, m.t_in(1, 2))", "000000000000000100000002",
    ),
    "nested enum with a tag": ("struct t { enum c { A = 1 } x; c y; };", "t", "m.t(m.A, m.A)", "0000000100000001"),
    "several labels for one arm": (
        "union t switch (int x) { case 1: case 2: int y; };", "t", "m.t(2, 3)", "0000000200000003",
    ),
    "default only": ("union t switch (int x) { default: int y; };", "t", "m.t(9, 3)", "0000000900000003"),
    "default in the middle": (
        "union t switch (int x) { case 1: void; default: int y; case 2: void; };", "t", "m.t(2)", "00000002",
    ),
    "discriminant unsigned": ("union t switch (unsigned x) { case 1: void; };", "t", "m.t(1)", "00000001"),
    "discriminant by a typedef": (
        "typedef bool b;\nunion t switch (b x) { case TRUE: void; };", "t", "m.t(True)", "00000001",
    ),
    "field named like its type": ("struct a { int x; };\nstruct t { a a; };", "t", "m.t(m.a(1))", "00000001"),
    "field named like a Python keyword": (
        "struct t { int from; int class; };", "t", "m.t(1, class_=2)", "0000000100000002",
    ),
    "type named like a Python builtin": ("struct list { int x; };\ntypedef list t;", "t", "m.list_(1)", "00000001"),
    "type named like a Python keyword": ("typedef int lambda;\ntypedef lambda t;", "t", "1", "00000001"),
    "enum member named like an attribute": ("enum t { name = 1, value = 2 };", "t", "m.value", "00000002"),
    "field named version or program": ("struct t { int version; int program; };", "t", "m.t(1, 2)", "0000000100000002"),
    "names that begin with _": (
        "const _N = 2;\nstruct _s { int _x; };\ntypedef _s t[_N];", "t", "[m._s(1), m._s(2)]", "0000000100000002",
    ),
    "types of C's RPC headers": (
        "struct t { netobj o; rpcvers_t v; };", "t", "m.t(b'a', 2)", "000000016100000000000002",
    ),
    "quadruple": ("typedef quadruple t;", "t", "m._Quadruple(-2)", "c0000000000000000000000000000000"),
    "empty statement": (";;typedef int t;;", "t", "1", "00000001"),
    "pragma of another compiler": ("pragma header foo;\ntypedef int t;", "t", "1", "00000001"),
    "constant twice with one value": (
        "const A = 2;\nconst A = 0x2;\ntypedef int t[A];", "t", "[1, 2]", "0000000100000002",
    ),
    "opaque of no bytes": ("struct t { opaque results[0]; int x; };", "t", "m.t(b'', 1)", "00000001"),
    "RFC 5531's own reply, nested three deep": (
        ("enum stat { SUCCESS = 0, MISMATCH = 2 };\n"
         "struct t { int verf; union switch (stat s) { case SUCCESS: opaque results[0]; case MISMATCH:"
         " struct { unsigned int low; unsigned int high; } info; default: void; } data; };"),
        "t", "m.t(1, m.t_data(m.MISMATCH, info=m.t_data_info(2, 3)))", "00000001000000020000000200000003",
    ),
    "carriage returns": ("const A = 1;\r\n#if A\r\n#endif\r\ntypedef int t;\r\n", "t", "1", "00000001"),
}  # fmt: skip


@pytest.mark.parametrize("rule", TYPES)
def test_types(rule: str) -> None:
    text, name, expression, wire = TYPES[rule]
    module = module_of_text(text)
    value = eval(expression, {"m": module})
    assert encode(getattr(module, f"encode_{name}"), value).hex() == wire
    assert decode(getattr(module, f"decode_{name}"), bytes.fromhex(wire)) == value


CONSTANTS = {
    "decimal": ("const A = 7;", 7),
    "octal of 64 bits": ("const A = 01777777777777777777777;", 2**64 - 1),
    "hexadecimal of 64 bits": ("const A = 0xffffffffffffffff;", 2**64 - 1),
    "negative": ("const A = -1;", -1),
    "with C's suffix": ("const A = 10UL;", 10),
    "string": ('const A = "words";', b"words"),
    "complement and shifts": ("const A = ~0 & (1 << 4 | 3);", 19),
    "division as C's": ("const A = -7 / 2;", -3),
    "remainder as C's": ("const A = -7 % 2;", -1),
    "beyond 64 bits": ("const A = 0xfff000000000000000000;", 0xFFF << 72),
    "qualified, in an expression": (
        "const B = 1;\nnamespace n { const B = 5; const A = 10 * ::B + B; }", 15,
    ),
    "#define of a name that C's headers have": ("#define AUTH_SYS 9\nconst A = AUTH_SYS;", 9),
    "number of a procedure": ("program P { version V { void F(void) = 4; } = 2; } = 9;\nconst A = F;", 4),
    "#define": ("#define A (2 * 21)\ntypedef int t;", 42),
}


@pytest.mark.parametrize("rule", CONSTANTS)
def test_constants(rule: str) -> None:
    text, value = CONSTANTS[rule]
    assert value == module_of_text(text).A


def program(procedure: str) -> str:
    return f"struct s {{ int x; }};\nprogram P {{ version V {{ {procedure} }} = 3; }} = 100;"


# rule: (procedure, arguments as a tuple, bytes in hex)
PROCEDURES = {
    "void": ("void F(void) = 1;", "()", ""),
    "no arguments": ("void F() = 1;", "()", ""),
    "void with a name": ("void F(void nothing) = 1;", "()", ""),
    "one argument": ("void F(int) = 1;", "(5,)", "00000005"),
    "one struct": ("void F(s) = 1;", "(m.s(5),)", "00000005"),
    "struct tag": ("struct s F(struct s) = 1;", "(m.s(5),)", "00000005"),
    "string": ("string F(string) = 1;", "(b'abc',)", "0000000361626300"),
    "string with a bound": ("string F(string name<3>) = 1;", "(b'abc',)", "0000000361626300"),
    "several arguments": ("int F(int, s, string) = 1;", "(1, m.s(2), b'a')", "00000001000000020000000161000000"),
    "several named arguments": ("int F(int a, unsigned hyper b) = 1;", "(1, 2)", "000000010000000000000002"),
    "argument named call": ("void F(int call, int self) = 1;", "(1, 2)", "0000000100000002"),
    "optional argument": ("void F(s *) = 1;", "(m.s(1),)", "0000000100000001"),
    "array argument": ("void F(int x<>) = 1;", "([1, 2],)", "000000020000000100000002"),
}


@pytest.mark.parametrize("rule", PROCEDURES)
def test_procedures(rule: str) -> None:
    procedure, arguments, wire = PROCEDURES[rule]
    module = module_of_text(program(procedure))
    found = module.P_3_service.procedures[1]
    value = eval(arguments, {"m": module})
    assert encode(found.encode_args, value).hex() == wire
    assert decode(found.decode_args, bytes.fromhex(wire)) == value


def test_bound_of_a_string_argument_is_checked() -> None:
    procedure = module_of_text(program("void F(string name<3>) = 1;")).P_3_service.procedures[1]
    with pytest.raises(XdrError, match=r"\[0\]: 4 elements, but at most 3"):
        encode(procedure.encode_args, (b"abcd",))


def test_include_with_search_path(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "shared.x").write_text("struct shared { int x; };\n")
    (tmp_path / "beside.x").write_text('#include "shared.x"\nconst SIZE = 2;\n')
    main = tmp_path / "main.x"
    main.write_text('#include "beside.x"\n#include "shared.x"\ntypedef shared t[SIZE];\n')
    module = module_of(compile_file(main, Options(include_dirs=(tmp_path / "lib",))).spec)
    assert encode(module.encode_t, [module.shared(1), module.shared(2)]).hex() == "0000000100000002"


def test_defines_of_the_command_line() -> None:
    module = module_of_text("typedef opaque t[SIZE];", Options(defines={"SIZE": "2 + 2"}))
    assert encode(module.encode_t, b"abcd") == b"abcd"


def test_types_of_a_header_that_is_another_x_file(tmp_path: Path) -> None:
    (tmp_path / "other.x").write_text("struct shared { int x; };\nstruct unused { int y; };\n")
    main = tmp_path / "main.x"
    main.write_text('%#include "other.h"\ntypedef shared t;\n')
    module = module_of(compile_file(main).spec)
    assert encode(module.encode_t, module.shared(1)) == b"\0\0\0\1"
    assert not hasattr(module, "unused")


def test_types_of_an_included_header_that_is_another_x_file(tmp_path: Path) -> None:
    (tmp_path / "other.x").write_text("struct shared { int x; };\n")
    main = tmp_path / "main.x"
    main.write_text('#include "other.h"\ntypedef shared t;\n')
    module = module_of(compile_file(main).spec)
    assert encode(module.encode_t, module.shared(1)) == b"\0\0\0\1"


def test_types_of_a_file_on_the_command_line(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.x"
    other.write_text("const SIZE = 4;\nenum color { RED = 1 };\nstruct shared { color c; opaque x[SIZE]; };\n")
    main = tmp_path / "main.x"
    main.write_text("struct t { shared inner; };\nconst RED_COPY = RED;\n")
    module = module_of(compile_file(main, Options(libraries=(other,))).spec)
    value = module.t(module.shared(module.color.RED, b"abcd"))
    assert encode(module.encode_t, value) == b"\0\0\0\1abcd"
    assert module.RED_COPY == 1


def test_pass_through_lines_are_kept_in_the_tree() -> None:
    tree = compiled("%one\ntypedef int t;\n  %two\n").tree
    assert [line.text for line in tree.passed] == ["one", "two"]


def test_a_narrow_integer_keeps_its_range() -> None:
    module = module_of_text("typedef char t;\nstruct s { short a; unsigned char b<2>; };")
    cases: list[tuple[Any, Any]] = [
        (module.encode_t, 128),
        (module.encode_t, -129),
        (module.encode_s, module.s(2**15, [])),
        (module.encode_s, module.s(0, [256])),
    ]
    for encoder, value in cases:
        with pytest.raises(XdrError, match="is not within"):
            encode(encoder, value)
    with pytest.raises(XdrError, match="is not within"):
        decode(module.decode_s, bytes.fromhex("00000000 00000001 00000100"))


def test_the_first_of_two_libraries_wins(tmp_path: Path) -> None:
    for name, text in (("one", "enum kind { A = 1 };"), ("two", "const A = 2;\ntypedef int b;")):
        (tmp_path / f"{name}.x").write_text(text + "\n")
    main = tmp_path / "main.x"
    main.write_text("struct t { kind x; b y; };\nconst COPY = A;\n")
    module = module_of(compile_file(main, Options(libraries=(tmp_path / "one.x", tmp_path / "two.x"))).spec)
    assert module.COPY == 1


def test_rfc_5531_as_it_is_printed() -> None:
    module = module_of_text(
        "enum reply_stat { MSG_ACCEPTED = 0, MSG_DENIED = 1 };\n"
        "enum reject_stat { RPC_MISMATCH = 0, AUTH_ERROR = 1 };\n"
        "enum auth_stat { AUTH_OK = 0, AUTH_BADCRED = 1 };\n"
        "union reply_body switch (reply_stat stat) { case MSG_ACCEPTED: void; case MSG_DENIED: rejected_reply rreply; }"
        " reply;\n"
        "union rejected_reply switch (reject_stat stat) { case RPC_MISMATCH: struct { unsigned int low; unsigned int"
        " high; } mismatch_info; case AUTH_ERROR: auth_stat stat; };\n"
    )
    value = module.reply_body(module.MSG_DENIED, module.rejected_reply(module.AUTH_ERROR, stat_=module.AUTH_BADCRED))
    assert encode(module.encode_reply_body, value).hex() == "000000010000000100000001"
    assert decode(module.decode_reply_body, bytes.fromhex("000000010000000100000001")) == value


@pytest.mark.parametrize("name", ["data", "pos", "limits", "head", "value", "v", "d", "out", "x1", "at"])
def test_types_named_like_what_generated_code_uses(name: str) -> None:
    module = module_of_text(
        f"struct {name} {{ int {name}; }};\nenum kind {{ A = 1 }};\n"
        f"union u switch (kind k) {{ case A: {name} arm; }};\n"
        f"struct t {{ int q; {name} f[2]; {name} g<>; u h; t *next; }};\n"
        f"struct w {{ {name} *o; kind k; }};"
    )
    one = getattr(module, name)(1)
    inner = module.t(1, [one, one], [one], module.u(module.A, one), None)
    for kind, chosen in (("t", module.t(2, [one, one], [], module.u(module.A, one), inner)), ("w", module.w(one, 1))):
        data = encode(getattr(module, f"encode_{kind}"), chosen)
        assert decode(getattr(module, f"decode_{kind}"), data) == chosen


def test_enum_named_like_what_generated_code_uses() -> None:
    module = module_of_text("enum data { A = 1 };\nstruct t { data x; data y<>; };")
    value = module.t(module.A, [module.A])
    assert decode(module.decode_t, encode(module.encode_t, value)) == value


def test_program_and_version_of_one_name() -> None:
    module = module_of_text("program D { version D { int F() = 1; } = 2; } = 100;")
    assert (module.D_2_service.program, module.D_2_service.version) == (100, 2)
    assert module.D_2_service.procedures[1].program == 100


def test_two_programs_of_one_number_and_other_versions() -> None:
    module = module_of_text(
        "program P { version V { int F(void) = 1; } = 2; } = 7;\nprogram Q { version W { int G(void) = 1; } = 3; } = 7;"
    )
    assert (module.P_2_service.program, module.Q_3_service.program) == (7, 7)
