"""Which checks there are: plugins found by entry point, each loaded alone and when it is asked for."""

import subprocess
import sys
from textwrap import dedent

import pytest

from lbkit.checks.registry import Registry
from lbkit.errors import PluginBroken, UnknownCheck

GOOD = """
    from lbkit.checks.conversation import up
    from lbkit.checks.kind import CheckKind, Params
    from lbkit.hookspecs import hookimpl

    def protocol(params):
        def one(target):
            return up("hello", "greet")
            yield
        return one

    @hookimpl
    def lbkit_checks():
        return [CheckKind("{name}", "says hello", Params, protocol)]
"""


def test_the_checks_of_the_core_and_of_installed_plugins_are_found():
    registry = Registry()
    assert {"c-echo", "connect"} <= set(registry.names())
    assert registry.kind("connect").name == "connect"
    assert registry.kind("c-echo") is registry.kind("c-echo")


def test_an_installed_plugin_adds_its_check(install):
    install("lbkit-hello", "hello", GOOD)
    registry = Registry()
    assert "hello" in registry.names()
    assert registry.kind("hello").summary == "says hello"
    (plugin,) = (plugin for plugin in registry.plugins() if plugin.name == "hello")
    assert (plugin.module, plugin.distribution, plugin.version) == ("lbkit_hello", "lbkit-hello", "1.2")
    assert [kind.name for kind in plugin.kinds] == ["hello"]
    assert plugin.error is None


def test_an_unknown_check_is_told_with_those_that_there_are():
    with pytest.raises(UnknownCheck, match=r"no check is called 'c-eco'. There are: c-echo, connect") as caught:
        Registry().kind("c-eco")
    assert "lbkit plugins" in str(caught.value)


BROKEN = {
    "syntax": ("def (", "SyntaxError"),
    "import": (
        "import a_module_that_is_not_there",
        "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    ),
    "exit": ("raise SystemExit(0)", "SystemExit"),
    "no hook": ("x = 1", "it implements no hook lbkit_checks"),
    "not marked": ("def lbkit_checks(): return []", "it implements no hook lbkit_checks"),
    "unknown hook": (
        GOOD + "\n    @hookimpl\n    def lbkit_chekcs():\n        return []\n",
        "lbkit_chekcs",
    ),
    "arguments": (
        "from lbkit.hookspecs import hookimpl\n@hookimpl\ndef lbkit_checks(registry): return []",
        "registry",
    ),
    "raises": (
        "from lbkit.hookspecs import hookimpl\n@hookimpl\ndef lbkit_checks(): return 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "nothing": (
        "from lbkit.hookspecs import hookimpl\n@hookimpl\ndef lbkit_checks(): return None",
        "its entry point is called broken, and it gives nothing",
    ),
    "no kind": (
        "from lbkit.hookspecs import hookimpl\n@hookimpl\ndef lbkit_checks(): return ['broken']",
        "AttributeError",
    ),
    "other name": (GOOD.replace("{name}", "other"), "its entry point is called broken, and it gives other"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_reported_by_name_and_left_out_and_others_work(install, fault):
    source, error = BROKEN[fault]
    install("lbkit-broken", "broken", source)
    install("lbkit-hello", "hello", GOOD)
    registry = Registry()
    with pytest.raises(PluginBroken) as caught:
        registry.kind("broken")
    assert str(caught.value).startswith("the plugin of broken (lbkit-broken) can't be used: ")
    assert error in str(caught.value)
    assert registry.kind("hello").name == "hello"
    found = {plugin.name: plugin for plugin in registry.plugins()}
    assert error in found["broken"].error
    assert found["broken"].kinds == ()
    assert [name for name, plugin in found.items() if plugin.error] == ["broken"]


def test_an_entry_point_that_leads_nowhere_is_reported(install, tmp_path):
    install("lbkit-gone", "gone", "")
    (tmp_path / "lbkit_gone.py").unlink()
    with pytest.raises(PluginBroken, match=r"\(lbkit-gone\) can't be used: ModuleNotFoundError"):
        Registry().kind("gone")


def test_two_plugins_of_one_name_are_both_left_out_and_named(install):
    install("lbkit-one", "hello", GOOD)
    install("lbkit-two", "hello", GOOD)
    registry = Registry()
    with pytest.raises(PluginBroken, match="lbkit-one and lbkit-two both give a check of this name; uninstall one"):
        registry.kind("hello")
    assert registry.kind("connect").name == "connect"


def test_a_plugin_may_not_take_the_name_of_a_check_of_the_core(install):
    install("lbkit-evil", "connect", GOOD)
    with pytest.raises(PluginBroken, match="lbkit-core and lbkit-evil both give a check of this name"):
        Registry().kind("connect")


def test_plugins_that_are_disabled_are_not_there(install, monkeypatch):
    install("lbkit-broken", "broken", "raise RuntimeError")
    monkeypatch.setenv("LBKIT_DISABLE_PLUGINS", "c-echo, broken ,unknown")
    registry = Registry()
    assert "connect" in registry.names()
    assert not {"c-echo", "broken"} & set(registry.names())
    assert not [plugin for plugin in registry.plugins() if plugin.error]
    with pytest.raises(UnknownCheck):
        registry.kind("c-echo")


def test_a_broken_plugin_is_loaded_once(install, tmp_path):
    loads = tmp_path / "loads"
    install("lbkit-broken", "broken", f"with open({str(loads)!r}, 'a') as file: file.write('x')\nraise RuntimeError")
    registry = Registry()
    for _ in range(2):
        with pytest.raises(PluginBroken, match="RuntimeError"):
            registry.kind("broken")
    assert loads.read_text() == "x"


@pytest.mark.parametrize(
    ("name", "loaded"), [("connect", []), ("c-echo", ["lbkit_dicom_echo", "lbkit_dicom_echo.plugin"])]
)
def test_one_check_loads_one_plugin(name, loaded):
    script = f"""
        import sys
        from lbkit.checks.registry import Registry
        registry = Registry()
        assert not [name for name in sys.modules if name.startswith("lbkit_")]
        registry.kind({name!r}).prepare({{}})
        print(*[name for name in sys.modules if name in ("lbkit_dicom_echo", "lbkit_dicom_echo.plugin", "pynetdicom")])
        assert ("lbkit.checks.connect" in sys.modules) == ({name!r} == "connect")
    """
    ran = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == loaded
