"""Two servers, Redis and a proxy, each in a process of its own."""

import fleet
import pytest
import several_servers


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_no_call_fails_and_nothing_is_lost(make_workdir, configured, proxy):
  """While servers are killed, restarted, and get other bundles."""
  for name in ("redis-server", proxy):
    if not fleet.program(name):
      pytest.skip(f"{name} is not installed")
  workdir = make_workdir(versions=2)
  found = several_servers.run(
    several_servers.parse(
      [
        f"--workdir={workdir}",
        f"--config={configured(workdir)}",
        f"--proxy={proxy}",
        "--rate=20",
        "--items=20",
        "--turns=2",
      ]
    )
  )
  for part in ("changes", "kills", "restarts", "bundles"):
    for calls in ("retrieve", "events", "items"):
      assert found[part][calls]["failed"] == 0, (part, calls)
  acknowledged = found["acknowledged"]
  assert acknowledged["events"] > 50
  assert acknowledged["items"] > 50
  assert acknowledged["events_lost"] == acknowledged["items_lost"] == 0
  # Items are found within the stated second, if the machine is not busy.
  assert found["changes"]["found_on_the_other"]["p50_ms"] < 1000
