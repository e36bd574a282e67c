"""What the compiler says of broken files: place, reason, hint; one row per mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdr_values import compiled

from nfsrpc.rpcgen.compiler import Options, compile_file
from nfsrpc.rpcgen.source import CompileError, Diagnostic


def diagnostics(text: str) -> list[Diagnostic]:
    with pytest.raises(CompileError) as caught:
        compiled(text)
    return caught.value.diagnostics


# mistake: (.x text, line, text under the caret, part of the message, part of the hint)
ERRORS = {
    "missing ; at the end of a line": ("struct a {\n int x\n int y;\n};", 2, "", "expected ';'", "missing"),
    "missing ; behind a struct": ("struct a { int x; }\nstruct b { int y; };", 1, "", "expected ';'", "missing"),
    "; between enum members": ("enum a { A = 1; B = 2 };\nconst C = B;", 1, ";", "expected ','", ""),
    "several names in one field": ("struct a { int x, y; };", 1, ",", "expected ';'", "on its own"),
    "missing ; forgiven": ("const A = 1\nconst B = 2;\ntypedef opaque a[B];", 1, "", "expected ';'", "missing"),
    "stray token": ("enum a { A = 1 s, B };", 1, "s", "expected '}' or ','", ""),
    "misspelt keyword": ("strct a { int x; };", 1, "strct", "expected a definition", "did you mean 'struct'?"),
    "misspelt type": ("struct color { int x; };\nstruct a { colr c; };", 2, "colr", "'colr' is not defined", "'color'"),
    "misspelt built-in type": ("struct a { hyperr c; };", 1, "hyperr", "is not defined", "'hyper'"),
    "misspelt constant": ("const SIZE = 1;\ntypedef int a[SIZ];", 2, "SIZ", "'SIZ' is not defined", "'SIZE'"),
    "constant of a C header": (
        "typedef int a[UNKNOWN_SIZE];", 1, "UNKNOWN_SIZE", "not defined", "-D UNKNOWN_SIZE=VALUE",
    ),
    "misspelt case": ("union a switch (int x) { csae 1: void; };", 1, "csae", "expected 'case'", "'case'"),
    "misspelt version": (
        "program P { versoin V { void F(void) = 1; } = 1; } = 1;", 1, "versoin", "'version'", "'version'",
    ),
    "void pointer": ("struct a { void *p; };", 1, "void", "void is no type", "opaque"),
    "void field": ("struct a { void; };", 1, "void", "void field", ""),
    "string without a bound": ("struct a { string s; };", 1, ";", "expected '<'", "string name<>"),
    "pointer to a string": ("struct a { string *s<>; };", 1, "*", "cannot be optional", "typedef"),
    "opaque without a size": ("struct a { opaque s; };", 1, ";", "expected '['", "opaque name<>"),
    "two dimensions": ("struct a { int x[2][3]; };", 1, "[", "one dimension", "typedef"),
    "array of optionals": ("struct a { int *x<>; };", 1, "<", "needs a typedef", ""),
    "keyword as a name": ("struct switch { int x; };", 1, "switch", "expected the name", "keyword"),
    "number as a name": ("const 5 = 5;", 1, "5", "expected the name of the constant", ""),
    "not octal": ("const A = 089;", 1, "089", "not a number", "octal"),
    "unknown character": ("const A = 5 @;", 1, "@", "unexpected character", ""),
    "unclosed comment": ("const A = 5; /* and so on", 1, "/*", "never closed", "*/"),
    "unfinished file": ("struct a { int x;", 1, "", "found end of file", ""),
    "empty enum": ("enum a { };", 1, "enum", "at least one member", ""),
    "duplicate type": ("struct a { int x; };\ntypedef int a;", 2, "a", "'a' is defined twice", ""),
    "duplicate constant": ("const A = 1;\nconst A = 2;", 2, "A", "defined twice", ""),
    "duplicate enum member": ("enum a { A = 1 };\nenum b { A = 2 };", 2, "A", "defined twice", ""),
    "duplicate field": ("struct a {\n int x;\n int x;\n};", 3, "x", "'x' is there twice", ""),
    "two arms of one name": (
        "union a switch (int x) { case 1: int y; case 2: int y; };", 1, "y", "'y' is there twice", "",
    ),
    "name twice in one namespace": (
        "namespace n { typedef int a; }\nnamespace n { typedef hyper a; }", 2, "a", "is defined twice", "",
    ),
    "typedef twice with two meanings": ("typedef int a;\ntypedef hyper a;", 2, "a", "is defined twice", ""),
    "qualifier without a name behind it": ("const A = a::;", 1, ";", "expected a name behind '::'", ""),
    "duplicate label": (
        "union a switch (int x) { case 1: void; case 1: void; };", 1, "1", "label 1 is there twice", "",
    ),
    "two defaults": ("union a switch (int x) { default: void; default: void; };", 1, "default", "one default", ""),
    "label outside the enum": (
        "enum e { A = 1 };\nunion a switch (e x) { case 2: void; };", 2, "2", "not a value of enum 'e'", "",
    ),
    "label outside bool": ("union a switch (bool x) { case 2: void; };", 1, "2", "not a value of bool", ""),
    "negative label of unsigned": ("union a switch (unsigned x) { case -1: void; };", 1, "-", "unsigned int", ""),
    "hyper as a discriminant": ("union a switch (hyper x) { case 1: void; };", 1, "hyper", "a discriminant is", ""),
    "struct as a discriminant": (
        "struct s { int y; };\nunion a switch (s x) { case 1: void; };", 2, "s", "a discriminant is", "",
    ),
    "constant used as a type": ("const A = 1;\nstruct a { A x; };", 2, "A", "is not a type", ""),
    "type used as a constant": ("struct a { int x; };\nconst A = a;", 2, "a", "is not a number", ""),
    "struct in itself": ("struct a { int x; a y; };", 1, "a", "contains itself", "optional"),
    "two structs in each other": ("struct a { b x; };\nstruct b { a y; };", 1, "a", "contains itself", ""),
    "typedef of itself": ("typedef a b;\ntypedef b a;", 1, "b", "leads back to itself", ""),
    "constant that depends on itself": ("const A = B;\nconst B = A;", 1, "B", "depends on itself", ""),
    "negative size": ("typedef opaque a[-1];", 1, "-", "size -1 is not within", ""),
    "size beyond 32 bits": ("typedef opaque a<4294967296>;", 1, "4294967296", "is not within", ""),
    "enum value beyond 32 bits": ("enum a { A = 4294967296 };", 1, "A", "32 bits of an enum", ""),
    "division by zero": ("const A = 1 / 0;", 1, "/", "division by zero", ""),
    "elements of no bytes": ("typedef opaque nothing[0];\ntypedef nothing a<>;", 2, "a", "take no bytes", ""),
    "duplicate procedure number": (
        "program P { version V { void F(void) = 1; void G(void) = 1; } = 1; } = 1;", 1, "G", "procedure number 1", "",
    ),
    "duplicate procedure name": (
        "program P { version V { void F(void) = 1; void F(void) = 2; } = 1; } = 1;", 1, "F", "procedure 'F'", "",
    ),
    "duplicate version number": (
        "program P { version V { void F(void) = 1; } = 1; version W { void F(void) = 1; } = 1; } = 1;",
        1, "W", "version number 1", "",
    ),
    "duplicate program number": (
        ("program P { version V { void F(void) = 1; } = 1; } = 7;\n"
         "program Q { version V { void F(void) = 1; } = 1; } = 7;"),
        2, "Q", "program number 7", "",
    ),
    "program number out of range": (
        "program P { version V { void F(void) = 1; } = 1; } = 0x100000000;", 1, "0x100000000", "is not within", "",
    ),
    "void among arguments": (
        "program P { version V { void F(int, void) = 1; } = 1; } = 1;", 1, "void", "only argument", "",
    ),
    "program without a number": (
        "program P { version V { void F(void) = 1; } = 1; };", 1, ";", "the program's number", "",
    ),
    "#if without #endif": ("#if 1\ntypedef int t;", 1, "#if 1", "without #endif", ""),
    "#endif without #if": ("#endif", 1, "#endif", "without #if", ""),
    "#else twice": ("#if 1\n#else\n#else\n#endif", 3, "#else", "after #else", ""),
    "#include of nothing": ('#include "nowhere.x"', 1, '#include "nowhere.x"', "cannot find nowhere.x", "-I DIR"),
    "#error": ("#error no\n", 1, "#error no", "#error no", ""),
    "unknown directive": ("#inclde <a>\n", 1, "#inclde <a>", "unknown preprocessor line", ""),
    "package of another dialect": ("package foo;", 1, "package", "expected a definition", "Go's XDR compilers"),
    "type of another dialect": ("struct a { zcopaque x<>; };", 1, "zcopaque", "not defined", "write opaque"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", ERRORS)
def test_errors(mistake: str) -> None:
    text, line, marked, message, hint = ERRORS[mistake]
    found = diagnostics(text)
    errors = [d for d in found if d.severity == "error"]
    first = errors[0]
    assert message in first.message
    assert hint in first.hint
    assert first.span.line == line
    source = first.span.source.lines[line - 1]
    assert source[first.span.column - 1 :][: first.span.length].strip() == marked or not marked
    assert len(errors) == 1, [e.message for e in errors]


def test_rendering_has_place_line_caret_and_hint() -> None:
    (found,) = diagnostics("struct color { int x; };\nstruct a {\n\tcolr c;\n};\n")
    assert found.render() == (
        "test.x:3:2: error: type 'colr' is not defined\n"
        "  \tcolr c;\n"
        "  \t^^^^\n"
        "  hint: did you mean 'color'?"
    )  # fmt: skip


def test_duplicates_show_both_places() -> None:
    (found,) = diagnostics("const A = 1;\n\nconst A = 2;\n")
    assert found.render().split("\n") == [
        "test.x:3:7: error: 'A' is defined twice",
        "  const A = 2;",
        "        ^",
        "test.x:1:7: note: the first one is here",
        "  const A = 1;",
        "        ^",
    ]


def test_several_errors_in_one_run() -> None:
    text = "struct a { int x\n int y; };\nconst A = B;\nenum e { };\nstruct c { no n; };\nunion u switch (int d) { }\n;"
    assert [d.span.line for d in diagnostics(text)] == [1, 3, 4, 5, 6]


def test_a_page_of_mistakes_is_told_one_by_one() -> None:
    text = """const MAX = 10
enum color { RED = 1; BLUE = 2 };
struct point {
    int x,
    int y;
};
struct circle {
    pont center;
    flaot radius;
    int data[MAX;
};
union shape switch (color c) {
case RED:
    circle c1
case BLEU:
    point p;
};
"""
    assert [(d.span.line, d.hint) for d in diagnostics(text)] == [
        (1, "a ';' is missing here"),
        (2, ""),
        (4, "each name is declared on its own: 'int a; int b;'"),
        (8, "did you mean 'point'?"),
        (9, "did you mean 'float'?"),
        (10, ""),
        (14, "a ';' is missing here"),
        (15, "did you mean 'BLUE'?"),
    ]


def test_use_of_a_name_whose_definition_is_broken_is_no_second_error() -> None:
    text = "enum a { A = 1 1 };\nstruct b { a x; };\ntypedef a c;\nconst N = A;\n"
    assert [d.span.line for d in diagnostics(text)] == [1]


def test_errors_in_included_files_show_the_way_there(tmp_path: Path) -> None:
    (tmp_path / "inner.x").write_text("struct broken { int }\n")
    (tmp_path / "middle.x").write_text('const A = 1;\n#include "inner.x"\n')
    main = tmp_path / "main.x"
    main.write_text('\n\n#include "middle.x"\n')
    with pytest.raises(CompileError) as caught:
        compile_file(main)
    assert f"{tmp_path}/inner.x:1:21: error:" in str(caught.value)
    assert f"in file included from {tmp_path}/middle.x:2:1" in str(caught.value)
    assert f"in file included from {main}:3:1" in str(caught.value)


def test_include_cycles_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.x").write_text('#include "b.x"\n')
    (tmp_path / "b.x").write_text('#include "a.x"\n')
    with pytest.raises(CompileError, match=r"b\.x:1:1: error: a\.x includes itself"):
        compile_file(tmp_path / "a.x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("struct a { char *name; };", "one optional character"),
        ("#define MAX(a) a\ntypedef int t;", "takes arguments"),
        ("#include <stdio.h>\ntypedef int t;", "not a .x file"),
        ("enum a { A = 0xfffffffe };", "4294967294 becomes -2"),
        ("const A = 0x10000000000000000;", "does not fit into 64 bits"),
        ("union a switch (int x) { case 1: int x; };", "the arm is called 'x_'"),
        ("struct a { int x; } b;", "a variable means nothing"),
        ("typedef opaque a<8>;\ntypedef\topaque a<8>;", "defined twice as the same type"),
    ],
)
def test_warnings(text: str, message: str) -> None:
    (warning,) = compiled(text).warnings
    assert message in warning.message
    assert warning.severity == "warning"


def test_a_library_given_by_name_is_checked(tmp_path: Path) -> None:
    library = tmp_path / "other.x"
    library.write_text("struct a { int x }\n")
    main = tmp_path / "main.x"
    main.write_text("typedef int t;\n")
    with pytest.raises(CompileError, match=r"other\.x:1:18"):
        compile_file(main, Options(libraries=(library,)))


def chain(length: int) -> str:
    return "\n".join(f"const A{i} = A{i + 1} + 1;" for i in range(length)) + f"\nconst A{length} = 0;"


EXTREMES = {
    "nested parentheses": "const A = " + "(" * 5000 + "1" + ")" * 5000 + ";",
    "a long sum": "const A = 1" + " + 1" * 5000 + ";",
    "signs": "const A = " + "-" * 5000 + "1;",
    "nested structs": "struct a { struct { " * 500 + "int x;" + "} y; }" * 500 + ";",
    "nested unions": "union a switch (int x) { case 1: " + "union switch (int x) { case 1: " * 500,
    "nested namespaces": "namespace a { " * 2000,
    "a chain of constants": chain(2000),
    "a chain of structs": "\n".join(f"struct s{i} {{ s{i + 1} x; }};" for i in range(500)) + "struct s500 { int x; };",
    "nested #if": "#if 1\n" * 5000 + "#endif\n" * 4999,
    "a macro that doubles": "\n".join(f"#define M{i} M{i - 1} M{i - 1}" for i in range(1, 40)) + "\n#define M0 1\nM39",
    "an endless shift": "const A = 1 << 63 << 63 << 63 << 63 << 63 << 63 << 63 << 63 << 63 << 63"
    + " << 63" * 100 + ";",
    "a million braces": "{" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("case", EXTREMES)
def test_extreme_input_is_an_error_and_no_crash(case: str) -> None:
    assert diagnostics(EXTREMES[case])


def test_an_enum_of_thousands_without_values() -> None:
    members = ", ".join(f"M{i}" for i in range(5000))
    spec = compiled(f"const LAST = M4999;\nenum e {{ {members} }};").spec
    assert spec.constants[0].value == 4999
