"""Which functions of the Rust sources call which, by name, and which AWS operations they ask for. For check_permissions.py.

This reads Rust the way a person skims it: it knows functions, `impl` blocks, imports and calls, and next to nothing of types. It
rather finds a call too many than one too few. A method called on something unknown may be that of any type which the file
names, or which something called there takes or answers. Engine, Store and Transport are told apart by what they are
called, because they have methods named like those of the SDK and of collections (`get`, `send`, `put`).
"""

import bisect
import dataclasses
import re

# The types that reach AWS, and what a value of them is called.
RECEIVERS = {"engine": "Engine", "store": "Store", "transport": "Transport"}
SPECIAL = set(RECEIVERS.values())

# An `impl` at the beginning of an item, not that of an argument (`impl Into<String>`).
IMPL = re.compile(r"(?:^ ?|(?<=[{};\]] ))impl\b(?:<[^{;]*?>)?\s+(?:[^{;()]*?\bfor\s+)?&?(?:'\w+ )?(?:\w+::)*(\w+)[^{;]*\{")
FN = re.compile(r"\bfn (\w+)")
TEST = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))? )?(?:mod|impl|fn|async fn)\b[^{;]*\{")
METHOD = re.compile(r"\.(\w+)(?:::<[^()]*?>)?\(")
PATH = re.compile(r"\b(\w+)::(\w+)\b(?!::\w)(?!!)")
BARE = re.compile(r"(?<![\w.:])(\w+)(?:::<[^()]*?>)?\(")
PASSED = re.compile(r"[(,] ?(\w+)(?=[,)])")
ALIAS = re.compile(r"\blet (?:mut )?(\w+) = &?(?:\w+\.)*(engine|store|transport)(?:\(\))?(?:\.clone\(\))?;")
TYPED = re.compile(r"\b(\w+): (?:&(?:'\w+ )?)?(?:Arc<)?(Engine|Store|Transport)\b")
# The SDK's calls begin `client.put_item()`. Names with an underscore count after anything: see Function.operations.
OPERATION = re.compile(r"\b(\w+)\.(\w+)\(\)")
# What clients have besides.
NO_OPERATIONS = {"clone", "config"}
# What has to be cut out before brackets can be counted: comments, strings (raw ones too) and characters.
USE = re.compile(r"\buse ([^;]+);")
TEST_FILE = re.compile(r"#\[cfg\(test\)\] ?(?:pub )?mod (\w+);")
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\\n]|\\(?:[^u\n]|u\{[^}]*\}))'""", re.DOTALL
)


@dataclasses.dataclass(eq=False)
class Function:
    """A function: where it is, the type whose `impl` it is in (or None), and its text without comments and strings."""

    file: str
    owner: str | None
    name: str
    text: str

    def __str__(self):
        return f"{self.owner or self.module}::{self.name}"

    @property
    def module(self):
        """The name its module has in paths; a crate's own is its folder."""
        *folders, stem = self.file.removesuffix(".rs").split("/")
        if stem in ("mod", "lib", "main") and folders:
            stem = folders[-2] if folders[-1] == "src" and len(folders) > 1 else folders[-1]
        return stem

    @property
    def signature(self):
        """Its text before the body."""
        return self.text[: self.text.index("{")]

    def operations(self, known):
        """The AWS operations that it asks for itself; a client's method that is not among the `known` ones counts too."""
        return {
            name
            for receiver, name in OPERATION.findall(self.text)
            if receiver == "client" and name not in NO_OPERATIONS or name in known and "_" in name
        }


def blank(match):
    """Spaces for a comment, an empty literal for a string."""
    return " " if match[0].startswith("/") else '""'


def closing(text, start):
    """Where the bracket that opens at `start` is closed."""
    depth = 0
    for match in re.compile("[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    raise ValueError("brackets do not match")


def tidy(source):
    """The source without comments, strings and tests, with single spaces and none around dots."""
    text = TOKEN.sub(blank, source)
    while match := TEST.search(text):
        text = text[: match.start()] + text[closing(text, match.end() - 1) + 1 :]
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ?\. ?(?=[A-Za-z_])", ".", text)


def body_start(text, start):
    """Where the body of the function whose name ends at `start` opens; None where it has none."""
    depth = 0
    for match in re.compile(r"[(){};\[\]]").finditer(text, start):
        if match[0] in "([":
            depth += 1
        elif match[0] in ")]":
            depth -= 1
        elif depth == 0:
            return match.start() if match[0] == "{" else None
    return None


def functions_of(file, source):
    """The functions of a source file, tests left out."""
    text = tidy(source)
    impls = [(m.start(), closing(text, m.end() - 1), m[1]) for m in IMPL.finditer(text)]
    starts = [start for start, _, _ in impls]
    found = []
    for match in FN.finditer(text):
        opens = body_start(text, match.end())
        if opens is None:
            continue
        at = bisect.bisect(starts, match.start()) - 1
        owner = impls[at][2] if at >= 0 and match.start() < impls[at][1] else None
        found.append(Function(file, owner, match[1], text[match.start() : closing(text, opens) + 1]))
    return found


def without_tests(sources):
    """The sources without files that are compiled for tests only."""
    tests = set()
    for file, source in sources.items():
        folder = file.rsplit("/", 1)[0]
        if file.rsplit("/", 1)[-1] not in ("mod.rs", "lib.rs", "main.rs"):
            folder = file.removesuffix(".rs")
        for name in TEST_FILE.findall(re.sub(r"\s+", " ", source)):
            tests.update((f"{folder}/{name}.rs", f"{folder}/{name}/"))
    return {file: text for file, text in sources.items() if not any(file.startswith(test) for test in tests)}


class Graph:
    """All functions, and who calls whom."""

    def __init__(self, sources):
        """`sources`: file name → text."""
        sources = without_tests(sources)
        self.functions = [f for file, source in sorted(sources.items()) for f in functions_of(file, source)]
        self.by_name = {}
        for function in self.functions:
            self.by_name.setdefault(function.name, []).append(function)
        self.owners = {f.owner for f in self.functions if f.owner}
        self.modules = {f.module for f in self.functions}
        # Fields and parameters that are an engine, a store or a transport, whatever they are called.
        self.receivers = dict(RECEIVERS)
        self.imports, self.types = {}, {}
        for file, source in sources.items():
            text = tidy(source)
            self.receivers.update(TYPED.findall(text))
            self.imports[file] = set(re.findall(r"\w+", " ".join(USE.findall(text))))
            self.types[file] = self.owners & set(re.findall(r"\w+", text))

    def named(self, name, owner):
        """The functions of that name in an `impl` of that type."""
        return [f for f in self.by_name.get(name, ()) if f.owner == owner]

    def method(self, caller, receivers, types, before, name):
        """What `before.name(...)` may call."""
        receiver = re.search(r"(\w+)(?:\(\))?$", before)
        owner = receivers.get(receiver[1]) if receiver else None
        if receiver and receiver[0] == "self" and not before.endswith(".self"):
            owner = caller.owner
        if owner and (known := self.named(name, owner)):
            return known
        methods = [f for f in self.by_name.get(name, ()) if f.owner]
        # A name such as `put_new_jobs` is nobody else's, so that it counts wherever it is.
        return [f for f in methods if (f.owner in types if f.owner not in SPECIAL else "_" in name)]

    def path(self, caller, qualifier, name):
        """What `qualifier::name` may be."""
        owner = caller.owner if qualifier == "Self" else qualifier
        if owner in self.owners:
            return self.named(name, owner)
        free = [f for f in self.by_name.get(name, ()) if f.owner is None]
        if qualifier in ("super", "crate", "self"):
            return free
        return [f for f in free if f.module == qualifier]

    def bare(self, caller, name):
        """What `name(...)` may call: a function of the file, or one that the file imports."""
        free = [f for f in self.by_name.get(name, ()) if f.owner is None]
        if here := [f for f in free if f.file == caller.file]:
            return here
        return free if name in self.imports[caller.file] else []

    def calls(self, caller):
        """The functions that `caller` may call."""
        text, called = caller.text, set()
        for qualifier, name in PATH.findall(text):
            called.update(self.path(caller, qualifier, name))
        # Its own name stands first in its text.
        for name in BARE.findall(text[text.index("(") :]):
            called.update(self.bare(caller, name))
        # A function may be handed on by its name, a variable of the same name may too.
        for name in PASSED.findall(text):
            if not re.search(rf"\b{name}: |\blet (?:mut )?{name}\b|\b{name} @|\|{name}\b", text):
                called.update(self.bare(caller, name))
        receivers = {**self.receivers, **{alias: RECEIVERS[of] for alias, of in ALIAS.findall(text)}}
        types, more = set(self.types[caller.file]), True
        while more:
            for match in METHOD.finditer(text):
                before = text[max(0, match.start() - 80) : match.start()]
                called.update(self.method(caller, receivers, types, before, match[1]))
            mentioned = {t for f in called for t in re.findall(r"\b[A-Z]\w*", f.signature)} & self.owners
            more = not mentioned <= types
            types |= mentioned
        return called

    def reach(self, roots, without=()):
        """The functions that `roots` reach → through which one; those named in `without` (as `Type::name`) are not entered."""
        through, todo = {root: None for root in roots}, list(roots)
        while todo:
            caller = todo.pop()
            for called in sorted(self.calls(caller), key=str):
                if called not in through and str(called) not in without:
                    through[called] = caller
                    todo.append(called)
        return through
