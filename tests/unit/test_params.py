"""What checks take as parameters: names, ranges and defaults, and what is said about those that can't be right."""

import pytest

from lbkit.checks.connect import lbkit_checks as connect_checks
from lbkit.checks.kind import Params, TlsParams
from lbkit.errors import Misuse
from lbkit_dicom_echo.echo import ae_title, status_code
from lbkit_dicom_echo.plugin import lbkit_checks as echo_checks

(CONNECT,) = connect_checks()
(ECHO,) = echo_checks()


def misuse(kind, **given):
    with pytest.raises(Misuse) as caught:
        kind.prepare(given)
    said = str(caught.value)
    assert said.isprintable()
    assert "pydantic" not in said
    return said


# --- every check ----------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_manual():
    check = ECHO.prepare({})
    assert check.params.model_dump() == {
        "port": 104,
        "timeout": 5.0,
        "tls": False,
        "ca_file": None,
        "crl_file": None,
        "cert_file": None,
        "key_file": None,
        "key_password_file": None,
        "server_name": None,
        "verify": True,
        "verify_name": True,
        "aet": "LOADBALANCER",
        "aec": "LB-SCP",
        "accept_status": (),
        "busy": "down",
    }
    assert (check.timeout, check.tls) == (5.0, None)
    assert CONNECT.prepare({}).params.port is None


def test_every_parameter_says_what_it_is_for_and_units_are_named():
    for kind in (CONNECT, ECHO):
        for name, field in kind.params.model_fields.items():
            assert field.description, name
            assert field.description.endswith((".", "]")), name
        assert kind.params.model_fields["timeout"].json_schema_extra == {"unit": "s"}
        assert kind.params.__doc__


def test_no_parameter_takes_a_secret_but_by_the_path_of_its_file():
    for kind in (CONNECT, ECHO):
        for name in kind.params.model_fields:
            secret = any(word in name for word in ("password", "secret", "token", "passphrase", "key"))
            assert name.endswith("_file") or not secret


def test_a_port_is_only_for_targets_that_name_none():
    check = ECHO.prepare({"port": 11112})
    assert (check.target("host").port, check.target("host:1").port) == (11112, 1)


def test_an_unknown_parameter_is_misuse_and_named():
    assert misuse(ECHO, aex="A") == "c-echo: aex: Extra inputs are not permitted."


def test_every_wrong_parameter_is_named_at_once():
    said = misuse(ECHO, port=0, timeout=-1, aet="")
    for name in ("port: ", "timeout: ", "aet: "):
        assert name in said


@pytest.mark.parametrize("timeout", [0, -1, 3601, float("nan"), float("inf"), "soon"])
def test_a_timeout_is_above_0_and_at_most_an_hour(timeout):
    assert misuse(CONNECT, timeout=timeout).startswith("connect: timeout: ")


@pytest.mark.parametrize("port", [0, 65536, -1, "x", 1.5])
def test_a_port_is_from_1_to_65535(port):
    assert misuse(CONNECT, port=port).startswith("connect: port: ")


@pytest.mark.parametrize("name", ["ca_file", "crl_file", "cert_file", "key_file", "key_password_file", "server_name"])
def test_tls_parameters_need_tls(name):
    assert misuse(CONNECT, **{name: "x"}) == f"connect: {name} is given without tls."


def test_tls_parameters_are_for_a_check_whose_tls_is_on_unless_it_is_switched_off():
    class Always(TlsParams):
        tls: bool = True

    assert Always(ca_file="x").terms().ca_file == "x"
    with pytest.raises(ValueError, match="ca_file is given without tls"):
        Always(ca_file="x", tls=False)


def test_equal_checks_are_equal_whoever_prepared_them():
    one, same, other = ECHO.prepare({"aet": "A"}), ECHO.prepare({"aet": " A "}), ECHO.prepare({"aet": "B"})
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert CONNECT.prepare({}) != ECHO.prepare({"port": None})


def test_parameters_of_a_check_of_your_own_are_flat_and_frozen():
    class Mine(Params):
        """Mine."""

        greeting: str = "220"

    params = Mine(greeting="x")
    with pytest.raises(ValueError, match="frozen"):
        params.greeting = "y"
    assert issubclass(TlsParams, Params)


# --- c-echo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["A", "LB-SCP", "ANY scp 1", "x" * 16, "!\"#$%&'()*+,-./", ":;<=>?@[]^_`{|}~"])
def test_an_ae_title_is_up_to_16_printable_characters(title):
    assert ae_title(title) == title


def test_spaces_at_both_ends_of_an_ae_title_do_not_count():
    assert ae_title("  LB-SCP    ") == "LB-SCP"
    assert ae_title(" " * 9 + "x" * 16 + " " * 9) == "x" * 16


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("", "an AE title has at least one character that is not a space"),
        ("    ", "an AE title has at least one character that is not a space"),
        ("x" * 17, "'xxxxxxxxxxxxxxxxx' has 17 characters; an AE title has at most 16"),
        ("A\\B", "'A\\\\B': an AE title has only printable ASCII, and no backslash"),
        ("A\tB", "'A\\tB': an AE title has only printable ASCII, and no backslash"),
        ("A\n", "'A\\n': an AE title has only printable ASCII, and no backslash"),
        ("\0", "'\\x00': an AE title has only printable ASCII, and no backslash"),
        ("Ä", "'Ä': an AE title has only printable ASCII, and no backslash"),
    ],
)
@pytest.mark.parametrize("name", ["aet", "aec"])
def test_what_ps3_5_does_not_allow_as_an_ae_title_is_misuse(name, title, said):
    assert misuse(ECHO, **{name: title}) == f"c-echo: {name}: {said}."


@pytest.mark.parametrize(
    ("written", "status"),
    [("0122H", 0x122), ("0122h", 0x122), ("0122", 0x122), ("0x0122", 0x122), (" b000H ", 0xB000), ("FFFF", 0xFFFF)],
)
def test_a_status_is_written_as_the_standard_writes_it(written, status):
    assert status_code(written) == status
    assert ECHO.prepare({"accept_status": [written]}).params.accept_status == (status,)


@pytest.mark.parametrize(
    "written", ["", "H", "122", "122H", "00122H", "ZZZZ", "-122", "+122", "1_22", "0122G", "\uff10122"]
)
def test_what_is_no_status_is_misuse(written):
    said = misuse(ECHO, accept_status=["0000H", written])
    expected = f"c-echo: accept_status: 1: {written!r} is no status; write four hexadecimal digits such as 0122H."
    assert said == expected


def test_a_status_may_be_a_number_of_16_bits():
    assert ECHO.prepare({"accept_status": [0x0122, 0]}).params.accept_status == (0x0122, 0)
    for number in (-1, 0x10000):
        assert misuse(ECHO, accept_status=[number]).startswith("c-echo: accept_status: 0: ")


def test_busy_is_up_or_down():
    assert ECHO.prepare({"busy": "up"}).params.busy == "up"
    assert "busy: " in misuse(ECHO, busy="perhaps")


def test_the_reason_codes_of_c_echo_are_its_own():
    from lbkit.checks.reasons import REASONS

    assert not set(ECHO.reasons) & set(REASONS)
    for code, meaning in (ECHO.reasons | REASONS).items():
        assert code == code.lower().replace(" ", "-")
        assert not meaning.endswith(".")
