"""The profile ccw is the vendor's guide; a profile is written whole or not at all."""

import os

import pytest

from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.lint import lint
from lbkit.site import profiles
from lbkit.site.load import load_site

PORT, WEB, DICOM = "connect", "https-get", "c-echo"

# guide 4.1: label, mode, ports, persistence, check
TABLE = [
    ("CCW_WEB_443", "l7-snat", (443,), "source-ip", PORT),
    ("CCW_WEB_8443", "l7-snat", (8443,), "http-cookie", PORT),
    ("CCW_WEB_44301", "l7-snat", (44301,), "source-ip", PORT),
    ("CCW_WEB_8070-49200-49201", "l7-snat", (8070, 49200, 49201), "source-ip", PORT),
    ("CCW_NOTIFICATION", "l7-snat", (44300,), "last-successful", WEB),
    ("CCW_DICOMSERVICE_VS", "l4-dr", (104,), "none", DICOM),
    ("CCW_DICOMSERVER_VS", "l4-dr", (1230,), "none", DICOM),
    ("CCW_DICOM_1115", "l4-dr", (1115,), "none", DICOM),
    ("CCW_DICOM_1299", "l4-dr", (1299,), "none", DICOM),
    ("CCG_IB_2101", "l7-snat", (2101,), "last-successful", PORT),
    ("CCG_IB_2102", "l7-snat", (2102,), "last-successful", PORT),
    ("EMR_INBOUND", "l7-snat", (4001,), "last-successful", PORT),
    ("PORT_EMR_IB", "l7-snat", (4002,), "last-successful", PORT),
    ("PORT_CCG_IB_2103", "l7-snat", (2103,), "last-successful", PORT),
    ("PORT_CCG_IB_2104", "l7-snat", (2104,), "last-successful", PORT),
]

# guide 9.8.3 to 9.8.17: the VIP's address; the label, address and port of its first real server
FIRST_SERVERS = [
    ("192.32.40.219", "CCW_App_Server_1", "192.32.40.207", 443),
    ("192.32.40.219", "CCW_App_Server_1", "192.32.40.207", 8443),
    ("192.32.40.219", "CCW_App_Server_1", "192.32.40.207", 44301),
    ("192.32.40.219", "CCW_App_Server_1", "192.32.40.207", None),
    ("192.32.40.219", "CCW_App_Server_1", "192.32.40.207", 44300),
    ("192.32.43.231", "DICOM_Server_1", "192.32.40.210", 104),
    ("192.32.43.231", "DICOM_Server_1", "192.32.40.210", 1230),
    ("192.32.43.231", "DICOM_Server_1", "192.32.40.210", 1115),
    ("192.32.43.231", "DICOM_Server_1", "192.32.40.210", 1299),
    ("192.32.40.219", "CCW_INT_5001", "192.32.40.209", 5001),
    ("192.32.40.219", "CCW_INT_5002", "192.32.40.209", 5002),
    ("192.32.40.219", "CLOVERLEAF_OB", "192.32.40.233", 2101),
    ("192.32.40.219", "PORT_CL_OB", "192.32.40.233", 6002),
    ("192.32.40.219", "Port_CCW_5001", "192.32.40.209", 5001),
    ("192.32.40.219", "CCW_INT_5002", "192.32.40.209", 5002),
]


@pytest.fixture(scope="module")
def kinds():
    return Registry().models()


@pytest.fixture
def site_file(tmp_path):
    profiles.write("ccw", tmp_path / "site.toml")
    return tmp_path / "site.toml"


@pytest.fixture
def site(site_file, kinds):
    return load_site(site_file, kinds)


def test_ccw_has_the_virtual_services_of_the_guide(site):
    assert [(v.label, v.mode, v.ports, v.persistence.mode, v.check.kind) for v in site.vips] == TABLE


def test_ccw_has_the_addresses_and_real_servers_of_the_guide(site):
    first = [(vip.address, vip.servers[0].label, vip.servers[0].address, vip.servers[0].port) for vip in site.vips]
    assert first == FIRST_SERVERS


def test_each_vip_of_ccw_has_two_real_servers_that_differ_in_label_and_address_alone(site):
    for vip in site.vips:
        one, other = vip.servers
        assert one.label != other.label
        assert one.address != other.address
        same = {"label", "address", "server_name"}
        assert one.model_dump(exclude=same) == other.model_dump(exclude=same)


def test_tls_of_ccw_ends_at_the_web_vips_and_begins_anew(site):
    """Guide 9.8.3 to 9.8.5 and 9.8.7: all but VIP 4 of the web services."""
    for number, vip in enumerate(site.vips, 1):
        inside = number in {1, 2, 3, 5}
        assert bool(vip.termination) == inside
        assert all(server.re_encrypt == inside for server in vip.servers)
        if inside:
            assert (vip.termination.certificate, vip.termination.ca) == ("client-cert", "mTLS")
            assert {(s.verify, s.client_certificate) for s in vip.servers} == {("mTLS", "client-cert")}


def test_vip_5_of_ccw_has_the_timeouts_and_the_check_of_the_guide(site):
    """Guide 9.8.7."""
    vip = site.vips[4]
    assert vip.scheduler == "first"
    assert vip.persistence.timeout == 720 * 60
    assert vip.client_timeout == vip.server_timeout == 12 * 3600
    assert vip.check.params == {"path": "/api/health/", "match": "equals", "body": "allServicesOperative"}


def test_last_successful_of_ccw_goes_with_scheduler_first_and_without_fallback(site):
    """Guide 9.8.12 to 9.8.17."""
    assert all((vip.scheduler == "first") == (vip.persistence.mode == "last-successful") for vip in site.vips)
    assert all(vip.fallback is None for vip in site.vips if vip.persistence.mode == "last-successful")


def test_browsers_of_ccw_get_the_balancers_own_page_while_no_server_serves(site):
    """Guide 5."""
    page = site.fallback_page
    with_page = [vip for vip in site.vips if vip.fallback]
    assert [vip.protocol for vip in with_page] == ["http"]
    assert [(vip.fallback.address, vip.fallback.port) for vip in with_page] == [(page.address, page.port)]
    assert [vip.label for vip in site.vips if vip.persistence.timeout is None and vip.scheduler == "first"] == [
        label for label, *_ in TABLE[9:]
    ]


def test_the_dicom_checks_of_ccw_use_the_titles_of_the_guide(site):
    """Guide 9.8.1."""
    assert [v.check.params for v in site.vips if v.mode == "l4-dr"] == [{"aet": "LOADBALANCER", "aec": "LB-SCP"}] * 4


def test_in_ccw_only_files_are_missing_and_what_the_guide_itself_risks_is_warned_of(site_file, kinds):
    found = [(one.severity, one.rule, one.key) for one in lint(site_file, kinds)]
    assert found == [
        ("error", "file-missing", "ca_families.mTLS.ca_file"),
        ("error", "file-missing", "certificates.client-cert.file"),
        ("warning", "entry-ends", "vips[4].persistence.timeout"),
        ("warning", "tables-diverge", "vips[13].servers"),
        ("warning", "tables-diverge", "vips[14].servers"),
    ]


# --- writing --------------------------------------------------------------------------------------------------------


def test_a_profile_is_written_as_it_is_and_readable_by_all(tmp_path):
    profiles.write("ccw", tmp_path / "site.toml")
    assert (tmp_path / "site.toml").read_text(encoding="utf-8") == profiles.text("ccw")
    assert (tmp_path / "site.toml").stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["site.toml"]


def test_a_file_that_is_there_stays_without_force(tmp_path):
    (tmp_path / "site.toml").write_text("mine")
    with pytest.raises(Misuse, match=r"site\.toml is there already, and was left as it is\. Give --force"):
        profiles.write("ccw", tmp_path / "site.toml")
    assert (tmp_path / "site.toml").read_text() == "mine"
    assert os.listdir(tmp_path) == ["site.toml"]


def test_with_force_a_file_is_replaced(tmp_path):
    (tmp_path / "site.toml").write_text("mine")
    profiles.write("ccw", tmp_path / "site.toml", force=True)
    assert (tmp_path / "site.toml").read_text(encoding="utf-8") == profiles.text("ccw")
    assert os.listdir(tmp_path) == ["site.toml"]


def test_a_link_that_leads_nowhere_is_there_too(tmp_path):
    (tmp_path / "site.toml").symlink_to("none")
    with pytest.raises(Misuse, match="is there already"):
        profiles.write("ccw", tmp_path / "site.toml")
    assert os.listdir(tmp_path) == ["site.toml"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_never_replaced(tmp_path, force):
    (tmp_path / "site.toml").mkdir()
    with pytest.raises(Misuse, match=r"site\.toml (is there already|can't be written)"):
        profiles.write("ccw", tmp_path / "site.toml", force=force)
    assert os.listdir(tmp_path) == ["site.toml"]


def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "site.toml").write_text("mine")
    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(Misuse, match=r"site\.toml can't be written: No space left on device"):
        profiles.write("ccw", tmp_path / "site.toml", force=True)
    assert (tmp_path / "site.toml").read_text() == "mine"
    assert os.listdir(tmp_path) == ["site.toml"]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(Misuse, match=r"none/site\.toml can't be written: No such file or directory\. Name another"):
        profiles.write("ccw", tmp_path / "none" / "site.toml")


def test_a_folder_that_may_not_be_written_to_is_said(tmp_path):
    """Root may write everywhere: the test becomes somebody else for a moment."""
    tmp_path.chmod(0o555)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        with pytest.raises(Misuse, match=r"site\.toml can't be written: Permission denied\. Name another with -o\.$"):
            profiles.write("ccw", tmp_path / "site.toml")
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o755)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["cwc", "", "../profiles/ccw", "ccw.toml"])
def test_a_profile_that_is_not_there_is_refused_with_those_that_are(name, tmp_path):
    with pytest.raises(Misuse, match=r"no profile is called .*\. There are: ccw\.$"):
        profiles.write(name, tmp_path / "site.toml")
    assert os.listdir(tmp_path) == []


def test_what_ccw_has_as_comments_of_snmp_and_metrics_is_a_site_once_it_is_taken_in(site_file, kinds):
    """Guide 12.1."""
    text = site_file.read_text()
    begin, end = text.index("# [snmp]"), text.index("# --- HAProxy")
    taken_in = "\n".join(line.removeprefix("# ") for line in text[begin:end].splitlines() if "---" not in line)
    site_file.write_text(f"{text[:begin]}{taken_in}\n{text[end:]}")
    site = load_site(site_file, kinds)
    assert (site.snmp.user.name, site.snmp.traps[0].version, site.metrics.port) == ("monitor", "v3", 7780)
