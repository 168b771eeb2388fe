import importlib.util

import pytest
from unit.mail_site import mail_site

from lbkit.lint import alerts
from lbkit.site.draft import Draft


@pytest.mark.parametrize("installed", [True, False])
def test_without_smart_host_and_dnspython_nothing_can_be_sent(tmp_path, monkeypatch, installed):
    monkeypatch.setattr(alerts, "find_spec", lambda name: importlib.util.find_spec(name) if installed else None)
    site = mail_site(tmp_path)
    direct = site.alerts.model_copy(update={"smart_host": None})
    found = list(alerts.problems(Draft(alerts=direct)))
    assert [one.rule for one in found] == ([] if installed else ["unusable"])
    assert all("pip install 'lbkit-core[mail]'" in one.message for one in found)
    assert list(alerts.problems(Draft(alerts=site.alerts))) == []
