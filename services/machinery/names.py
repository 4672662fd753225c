"""Names that the cluster makes up: the random ends of generated names.

The alphabet has no vowels, so that no name spells a word, and no 0, 1, 3, which look like letters.
Upstream: `k8s.io/apimachinery/pkg/util/rand`, `apiserver/pkg/storage/names`.
"""

from __future__ import annotations

from random import Random

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH_MAX = 63
SUFFIX_LENGTH = 5


def random_suffix(random: Random, n: int = SUFFIX_LENGTH) -> str:
    return "".join(random.choices(ALPHABET, k=n))


def generate_name(base: str, random: Random) -> str:
    """`metadata.generateName` made into a name: the base cut to fit, and a random end."""
    return base[: GENERATED_LENGTH_MAX - SUFFIX_LENGTH] + random_suffix(random)


def safe_encode(text: str) -> str:
    """Maps each character into the alphabet: keeps a number's digits from spelling words."""
    return "".join(ALPHABET[ord(character) % len(ALPHABET)] for character in text)
