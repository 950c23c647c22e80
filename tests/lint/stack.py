#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stack of BPF programs along their chains of calls, as Linux 6.1 sums it: each frame rounded up to 32 bytes, 512
in all, eight frames. Newer kernels round less, so what loads here may not load there. From the object's own code:
stack.py OBJECT...; --top N prints the N deepest programs."""
import re, subprocess, sys

ROUND, MOST, FRAMES = 32, 512, 8
CODE = re.compile(r"^\s*(\d+):\s+((?:[0-9a-f]{2}\s)+)\s*(.*)$")
RELOC = re.compile(r"^\s*[0-9a-f]+:\s+R_BPF_64_(32|64)\s+(\S+)$")


def functions(obj):
    """{(section number, offset): (name, size)}"""
    out = subprocess.run(["llvm-readelf", "-s", obj], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in out.splitlines() if " FUNC " in line)
    return {(int(r[6]), int(r[1], 16)): (r[7], int(r[2])) for r in rows}


def sections(obj):
    out = subprocess.run(["llvm-readelf", "-S", "-W", obj], check=True, capture_output=True, text=True).stdout
    return {m[2]: int(m[1]) for m in re.finditer(r"\[\s*(\d+)\] (\S+)", out)}


class Function:
    def __init__(self, name):
        self.name, self.frame, self.calls = name, 0, set()

    def code(self, text, pointers):
        """What of the stack one instruction names: a slot, or a pointer to where a helper or a callee begins to write."""
        for slot in re.findall(r"\(r10 - (\d+)\)", text):
            self.frame = max(self.frame, int(slot))
        if (m := re.fullmatch(r"(r\d) = r10", text)):
            pointers.add(m[1])
        elif (m := re.fullmatch(r"(r\d) \+= (-\d+)", text)) and m[1] in pointers:
            self.frame = max(self.frame, -int(m[2]))
            pointers.discard(m[1])
        elif (m := re.match(r"(r\d) = ", text)):
            pointers.discard(m[1])


def read(obj):
    at, section, f, found, last = functions(obj), sections(obj), None, {}, ""
    text, pointers, now = section.get(".text"), set(), 0
    out = subprocess.run(["llvm-objdump", "-d", "-r", obj], check=True, capture_output=True,
                         text=True).stdout
    for line in out.splitlines():
        if line.startswith("Disassembly of section "):
            now = section[line.split()[-1].rstrip(":")]
        elif (m := RELOC.match(line)):
            if m[2] == ".text":  # a call counts in instructions from the next one, a callback's address in bytes
                n = int(re.search(r"-?\d+", last.split("=")[-1] if m[1] == "64" else last)[0])
                f.calls.add(at[(text, n if m[1] == "64" else (n + 1) * 8)][0])
            elif m[1] == "32":
                f.calls.add(m[2])
        elif (m := CODE.match(line)):
            name = at.get((now, int(m[1]) * 8))
            if name:
                f, pointers = found.setdefault(name[0], Function(name[0])), set()
            last = m[3].strip()
            f.code(last, pointers)
            if now == text and m[2].startswith("85 10") and last != "call -1":  # else a relocation follows
                f.calls.add(at[(now, (int(m[1]) + 1 + int(last.split()[1])) * 8)][0])
    return found


def deepest(found, name, above=()):
    if name in above:
        raise SystemExit(f"stack: {name} calls itself")
    below = max((deepest(found, c, above + (name,)) for c in found[name].calls), default=(0, []))
    return (below[0] + -(-max(found[name].frame, 1) // ROUND) * ROUND, [(name, found[name].frame)] + below[1])


def longest(found, name):
    return 1 + max((longest(found, c) for c in found[name].calls), default=0)


def main():
    args = sys.argv[1:]
    top = int(args[args.index("--top") + 1]) if "--top" in args else 0
    bad = 0
    for obj in [a for a in args if a.endswith(".o")]:
        found = read(obj)
        called = set().union(*(f.calls for f in found.values()))
        rows = sorted((deepest(found, n) + (longest(found, n),) for n in found if n not in called), reverse=True)
        for i, (total, chain, frames) in enumerate(rows):
            over = total > MOST or frames > FRAMES
            bad += over
            if over or i < top:
                print(f"stack: {obj}: {total} of {MOST}, {frames} frames: " + " > ".join(f"{n} {s}" for n, s in chain))
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
