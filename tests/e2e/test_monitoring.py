"""What a running server exports, and what the rules and the dashboard ask it for."""

from __future__ import annotations

import re
from urllib.request import urlopen

from tests.e2e.serving import ServerProcess
from tests.unit.observability.test_monitoring import asked, rules, selectors


def test_a_running_server_exports_what_is_asked_for(server: ServerProcess) -> None:
    with urlopen(f"http://{server.metrics_address}/metrics") as answer:
        text = answer.read().decode()
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    wanted = {
        re.sub(r"_(bucket|sum|count)$", "", selector.name)
        for expression in asked()
        for selector in selectors(expression)
        # Where there is a GPU, a unit test has a look at these.
        if selector.name not in recorded and not selector.name.startswith("groundwire_gpu_")
    }
    assert len(wanted) > 30
    assert wanted - families == set()
