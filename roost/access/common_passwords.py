# ruff: noqa: SIM905 - words are read more easily as words
"""Words that lead every list of breached passwords, and how people dress them up.

A password is common when it is one of these words, dressed or not: other case, digits for letters, digits and signs
before or behind it, the word twice. Runs of neighbouring keys and single repeated characters are common as well.
"""

import itertools

_WORDS = frozenset(
    """
    passwort password passwords passcode parola contrasena motdepasse senha wachtwoord kennwort geheim secret letmein
    welcome willkommen bienvenue welcometo login signin administrator admin adminadmin root toor guest default changeme
    changeit monkey dragon master shadow killer princess sunshine football baseball basketball soccer hockey superman
    batman spiderman pokemon starwars startrek whatever trustno iloveyou ilove loveyou lovely sweetheart babygirl
    michael michelle jennifer jessica ashley amanda daniel charlie jordan thomas andrew matthew joshua anthony robert
    nicole hannah alexander maggie ginger pepper cookie chocolate butterfly flower summer winter spring autumn computer
    internet samsung google facebook liverpool chelsea arsenal barcelona juventus realmadrid mustang corvette ferrari
    mercedes porsche harley yamaha freedom phoenix hunter ranger tigger buster bailey cheese banana orange purple
    silver golden diamond crystal angel angels heaven jesus blessed forever friends family lovers access
    accessgranted service support system server hello helloworld goodbye nothing something mypassword mypass
    thisisapassword passpass testtest testing qwerty qwertz azerty qwertyuiop qwertzuiop azertyuiop asdfgh
    asdfghjkl asdf zxcvbn zxcvbnm yxcvbnm qazwsx qazwsxedc qweasd qweasdzxc qwerasdf asdfqwer poiuytrewq lkjhgfdsa
    mnbvcxz abcdef abcdefg abcdefgh abcdefghi abcabc aaabbb xxxxxx asdasd qweqwe zaqxsw ninja matrix merlin wizard
    genius victory eagle eagles cowboys yankees lakers steelers redsox packers minecraft fortnite roblox naruto
    """.split()
)
_EXACT = frozenset(
    """
    12345678 123456789 1234567890 12341234 123123123 123321123 87654321 987654321 0987654321 11223344 1122334455
    112233445566 12344321 147258369 159753159 123654789 789456123 741852963 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz2wsx3edc
    zaq12wsx zaq1zaq1 q1w2e3r4 q1w2e3r4t5 a1b2c3d4 a1s2d3f4 1a2b3c4d abc12345 abcd1234 abcde123 aa123456 a1234567
    a12345678 a123456789 123456aa 123456ab 1234qwer 12345qwert 123qweasd 123qwe123 qwe12345 qwer1234 asdf1234 zxcv1234
    test1234 test12345 testtest1 pass1234 pass12345 temp1234 user1234 love1234 home1234 19841984 20002000 p@ssw0rd
    trustno1 letmein1 6969696969 changeme1 iloveyou1 google123 ncc1701d
    """.split()
)
_DRESS = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_RUNS = ("01234567890", "09876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm")
_SIGNS = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "


def is_common(password: str) -> bool:
    """Whether the password is, or obviously comes from, one of the first that anyone tries."""
    plain = password.casefold()
    if plain in _EXACT or len(set(plain)) <= 2 or any(plain in run for run in _RUNS):
        return True
    return any(word in _WORDS or _undouble(word) in _WORDS for word in _undressed(plain))


def _undressed(plain: str) -> set[str]:
    bare = {plain.strip(_SIGNS), plain.lstrip(_SIGNS), plain.rstrip(_SIGNS), plain}
    return {undone for text in bare for undone in (text, text.translate(_DRESS), text.strip(_SIGNS))}


def _undouble(text: str) -> str:
    half, odd = divmod(len(text), 2)
    return text[:half] if not odd and text and text[:half] == text[half:] else text


def examples() -> list[str]:
    """The most usual spellings of the list, for tests and for documentation."""
    return sorted(_EXACT | {word + tail for word, tail in itertools.product(_WORDS, ("123", "1234", "2024!"))})
