"""systemd's files: what they say, and where in them it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.unitfiles import read_unit, read_variables, split

UNIT = r"""# of the package
[Unit]
ExecStart=not this one
[Service]
  Type = notify
ExecStart=/usr/bin/dockerd \
          --storage-driver devicemapper \
          # between the lines
          ; and another
          --label "a b=c d" \
          $OPTIONS

Environment=A=1 "B=two words" 'C='
[Install]
WantedBy=multi-user.target
"""


def values(text):
    return [(one.section, one.key, one.value.value) for one in read_unit(text)]


def test_a_unit():
    found = {key: value for section, key, value in values(UNIT) if section == "Service"}
    assert found["Type"] == "notify"
    (start,) = [one for one in read_unit(UNIT) if one.key == "ExecStart" and one.section != "Unit"]
    words = split(start.value)
    assert [word.value for word in words] == [
        "/usr/bin/dockerd", "--storage-driver", "devicemapper", "--label", "a b=c d", "$OPTIONS",
    ]  # fmt: skip
    assert [UNIT[word.start : word.end] for word in words][4] == '"a b=c d"'
    assert UNIT[start.value.start : start.value.end].endswith("$OPTIONS")


def test_variables_of_a_unit():
    (environment,) = [one for one in read_unit(UNIT) if one.key == "Environment"]
    words = split(environment.value)
    assert [word.value for word in words] == ["A=1", "B=two words", "C="]
    value = words[1].cut(2)
    assert (value.value, UNIT[value.start : value.end]) == ("two words", "two words")
    empty = words[2].cut(2)
    assert (empty.value, empty.start, empty.end) == ("", words[2].end, words[2].end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("[Service]", []),
        ("[Service]\nExecStart=", [("Service", "ExecStart", "")]),
        ("[Service]\nExecStart=\\\n", [("Service", "ExecStart", "")]),
        ("[Service]\r\nExecStart=/a \\\r\n  -b\r\n", [("Service", "ExecStart", "/a    -b")]),
        (
            "[Service]\nExecStart=/a \\\n\nX=y",
            [("Service", "ExecStart", "/a"), ("Service", "X", "y")],
        ),
        ("\\\n", []),
    ],
)  # fmt: skip
def test_odd_units(text, expected):
    assert values(text) == expected


def test_words_with_quotes_and_escapes():
    (one,) = read_unit(r"""[Service]
X=a"b c"d 'e "f"' g\ h "i\"j" "" k""")
    assert [word.value for word in split(one.value)] == [
        "ab cd", 'e "f"', "g h", 'i"j', "", "k",
    ]  # fmt: skip


VARIABLES = r"""# /etc/sysconfig/docker
; another comment

OPTIONS='--selinux-enabled --log-driver=journald --signature-verification=false'
if [ -z "${DOCKER_CERT_PATH}" ]; then
    DOCKER_CERT_PATH=/etc/docker
fi
#OPTIONS="--commented"
export EXPORTED=no
JOINED="--one \
--two" '--three'
BARE=--four --five \
  six="7"   
ESCAPED="a \"b\" \$c \d"
TWICE=1
TWICE=2
EMPTY=
"""  # noqa: W291


def test_a_file_of_variables():
    found = {name: piece.value for name, piece in read_variables(VARIABLES).items()}
    assert found == {
        "OPTIONS": "--selinux-enabled --log-driver=journald --signature-verification=false",
        "DOCKER_CERT_PATH": "/etc/docker",
        "JOINED": "--one --two--three",
        "BARE": '--four --five   six="7"',
        "ESCAPED": 'a "b" $c \\d',
        "TWICE": "2",
        "EMPTY": "",
    }
    words = split(read_variables(VARIABLES)["BARE"])
    assert [word.value for word in words] == ["--four", "--five", "six=7"]
    assert VARIABLES[words[2].start : words[2].end] == 'six="7"'


@given(st.text("ab=\"'\\ \n#$;[]X", max_size=30))
def test_any_text_can_be_read_and_pieces_stand_where_they_say(text):
    pieces = [*read_variables(text).values()]
    pieces += [one.value for one in read_unit("[S]\n" + text)]
    for piece in pieces:
        assert piece.start <= piece.end
        for word in split(piece):
            assert piece.start <= word.start <= word.end <= max(piece.end, word.end)


@given(st.lists(st.text("abc-=/.", min_size=1), max_size=5), st.sampled_from(["'", '"']))
def test_plain_words_come_back(words, quote):
    text = f"OTHER=1\nOPTIONS={quote}{'  '.join(words)}{quote}\n"
    found = split(read_variables(text)["OPTIONS"])
    assert [word.value for word in found] == words
    assert [text[word.start : word.end] for word in found] == words
