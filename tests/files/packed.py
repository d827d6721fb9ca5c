#!/usr/bin/env python3
"""Reads files that other people's programs compressed, and refuses each that is not whole.

    packed.py --sluice PROGRAM
"""

import argparse
import bz2
import gzip
import json
import os
import random
import subprocess
import sys

import zstandard

from loading import Loader, differences, program_of

SMALL = b"id,v\n1,a\n2,b\n"
# What zstd may put between frames, and pzstd before the first.
SKIPPED = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def large():
    """More text than is looked at when a run is planned, and more than is made at once."""
    r = random.Random(7)
    return b"id,v\n" + b"".join(b"%d,%s\n" % (number, r.randbytes(40).hex().encode()) for number in range(40_000))


def zstd(content):
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def by_program(*command):
    def pack(content):
        return subprocess.run(command, input=content, capture_output=True, check=True).stdout
    pack.program = command[0]
    return pack


def parts(pack, count):
    """Compressed in so many parts that stand one behind another."""
    def in_parts(content):
        step = len(content) // count + 1
        return b"".join(pack(content[at:at + step]) for at in range(0, len(content), step))
    return in_parts


PACKED = {
    "gzip": ("gz", gzip.compress), "gzip, 2 members": ("gz", parts(gzip.compress, 2)), "gzip, 300 members": ("gz", parts(gzip.compress, 300)),
    "gzip, an empty member": ("gz", lambda content: gzip.compress(b"") + gzip.compress(content) + gzip.compress(b"")),
    "gzip, zeros behind it": ("gz", lambda content: gzip.compress(content) + bytes(512)),
    "gzip's own": ("gz", by_program("gzip", "-9")),
    "bzip2": ("bz2", bz2.compress), "bzip2, 3 streams": ("bz2", parts(bz2.compress, 3)), "bzip2's own": ("bz2", by_program("bzip2")),
    "zstd": ("zst", zstd), "zstd, 5 frames": ("zst", parts(zstd, 5)), "zstd's own": ("zst", by_program("zstd", "-19")),
    "zstd, many threads": ("zst", by_program("zstd", "-T4")), "zstd, the widest window of old": ("zst", by_program("zstd", "--ultra", "-22")),
    "zstd, a skipped frame between": ("zst", lambda content: zstd(content[:99]) + SKIPPED + zstd(content[99:])),
    "zstd, a skipped frame first": ("zst", lambda content: SKIPPED + zstd(content)),
}


def lacks_program(pack):
    """Whether the program that packs is missing on this machine."""
    program = getattr(pack, "program", None)
    return program is not None and program_of(program) is None


def whole(loader, fail, counts):
    for content in (SMALL, large()):
        rows = [tuple(line.split(",")) for line in content.decode().splitlines()[1:]]
        for name, (ending, pack) in PACKED.items():
            if lacks_program(pack):
                continue
            packed = pack(content)
            # The name tells nothing: the bytes do.
            for file in (f"a.csv.{ending}", "a.csv"):
                outcome = loader.load({file: packed})
                which = f"{name}, {len(content)} bytes, as {file}"
                if outcome.code:
                    fail(f"{which}: {outcome.error}")
                for difference in [] if outcome.code else differences(outcome.rows, rows):
                    fail(f"{which}: {difference}")
                counts["whole"] += 1


def damaged(loader, fail, counts):
    """Cut at every byte, and with a bit that is another one."""
    for word, ending, pack in (("gzip", "gz", gzip.compress), ("bzip2", "bz2", bz2.compress), ("zstd", "zst", zstd)):
        packed, second = pack(SMALL), pack(b"3,c\n")
        cuts = [packed[:length] for length in range(1, len(packed))]
        cuts += [packed + second[:length] for length in range(1, len(second))]
        big = pack(large())
        cuts += [big[:len(big) // 2], big[:-1], big[:-9]]
        flipped = bytearray(big)
        flipped[len(big) // 2] ^= 1
        for content in [*cuts, bytes(flipped)]:
            outcome = loader.load({f"a.csv.{ending}": content}, form={"compression": word})
            which = f"{word}, {len(content)} of {len(packed)} or {len(big)} bytes"
            if not outcome.code:
                fail(f"{which}: is read, {outcome.rows[:5]}")
            elif "a.csv" not in outcome.error or "the reader stopped" in outcome.said:
                fail(f"{which}: {outcome.error}")
            counts["refused"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    failures, counts = [], {"whole": 0, "refused": 0}
    loader = Loader(parser.parse_args().sluice)
    for part in (whole, damaged):
        part(loader, failures.append, counts)
    for failure in failures:
        print(f"fails: {failure}")
    print(json.dumps({"failures": len(failures), **counts}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
