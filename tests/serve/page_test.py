"""The page, in a headless Chromium."""

import json
import pathlib
import re

import pytest

CHROMIUM = pathlib.Path("/usr/bin/chromium")
LIST = "ol[aria-label='recommended items'] > li"


@pytest.fixture(scope="module")
def browser():
  """Debian's Chromium."""
  if not CHROMIUM.exists():
    pytest.skip(f"{CHROMIUM} is missing; install Debian's chromium")
  api = pytest.importorskip("playwright.sync_api")
  with api.sync_playwright() as playwright:
    found = playwright.chromium.launch(
      executable_path=str(CHROMIUM), args=["--no-sandbox"]
    )
    yield found
    found.close()


@pytest.fixture
def opened(browser, server):
  """Returns the function that opens the page and waits for its first list.

  After the test, it fails on errors in the console that the test does not
  expect, and on requests to other hosts.
  """
  contexts, problems, hosts = [], [], set()

  def page(path="/", *, expected="", **options):
    context = browser.new_context(**options)
    context.set_default_timeout(10_000)
    contexts.append(context)
    found = context.new_page()

    def said(message):
      bad = message.type in ("error", "warning")
      if bad and not (expected and expected in message.text):
        problems.append(message.text)

    found.on("console", said)
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    found.goto(server.address + path)
    if path == "/":
      found.wait_for_selector(LIST)
    return found

  yield page
  for context in contexts:
    context.close()
  assert problems == []
  assert hosts <= {f"127.0.0.1:{server.port}"}


def _shares(page):
  """Returns the shares that the page shows, in percent."""
  return [int(text.split()[0]) for text in _texts(page, ".share output")]


def _texts(page, selector):
  return [text.strip() for text in page.locator(selector).all_inner_texts()]


def _list(page):
  """Returns the titles of the recommended items, in order."""
  return _texts(page, f"{LIST} .title")


def _request(page):
  """Returns the request that the page shows."""
  return json.loads(page.locator("pre").inner_text().split("-d '")[1][:-1])


def _settled(page, changed):
  """Makes a change, waits for its list and returns the server's answer.

  Answers of earlier changes are awaited first.
  """
  page.wait_for_selector("body[aria-busy=false]")
  with page.expect_response("**/v1/explain") as response:
    changed()
  page.wait_for_function(
    "sent => document.querySelector('pre').textContent.includes(sent)",
    arg=response.value.request.post_data,
  )
  return response.value.json()


def test_a_drag_moves_all_shares_and_the_list(opened, client):
  page = opened()
  users = page.get_by_label("Sample user")
  _settled(page, lambda: users.select_option(""))
  _settled(page, lambda: page.locator("#share-click").press("End"))
  before = _list(page)
  box = page.locator("#share-like").bounding_box()
  height = box["y"] + box["height"] / 2
  page.mouse.move(box["x"] + 8, height)
  page.mouse.down()
  for part in (0.2, 0.9, 0.4, 1, 0, 0.8):
    page.mouse.move(box["x"] + box["width"] * part, height)
    page.wait_for_timeout(30)
    assert sum(_shares(page)) == 100
  page.mouse.up()
  page.wait_for_selector("body[aria-busy=false]")
  after, asked = _list(page), _request(page)
  assert asked["budget"]["like"] > 0.6
  assert sum(asked["budget"].values()) == pytest.approx(1)
  assert after != before
  # All positions of one drag are compared with the list before the drag.
  entered, left = len({*after} - {*before}), len({*before} - {*after})
  assert entered
  said = page.locator("#changes").inner_text()
  assert said == f"{entered} entered and {left} left since the last position"
  page.locator("summary").click()
  gone = _texts(page, "ul[aria-label='items that left'] .title")
  assert {*gone} == {*before} - {*after}
  assert len(_texts(page, ".is-new")) == entered
  # The curl command gives the same list.
  answer = client.post("/v1/retrieve", json=asked).json()
  titles = {
    str(one["item"]): one["title"] or str(one["item"])
    for one in client.get("/v1/items").json()["items"]
  }
  listed = [titles[str(one["item"])] for one in answer["candidates"]]
  assert listed == after
  got = _texts(page, ".share .got")[2]
  assert got == f"got {round(100 * answer['achieved'].get('like', 0))} %"
  median = re.search(r"(\d+) ms, the median", _texts(page, "#drags")[0])
  assert median is not None


def test_shares_can_be_moved_by_keys(opened):
  page = opened()
  page.locator("#share-save").focus()
  first = _shares(page)
  for key in ("ArrowRight", "PageUp", "End", "ArrowLeft", "Home"):
    page.keyboard.press(key)
    assert sum(_shares(page)) == 100
  assert _shares(page)[1] == 0
  for _ in range(first[1]):
    page.keyboard.press("ArrowRight")
  # The proportions of the others survived an End.
  assert _shares(page) == first
  _settled(page, lambda: page.keyboard.press("End"))
  assert _shares(page) == [0, 100, 0]
  assert {*_texts(page, f"{LIST} .tag")} == {"save"}
  reset = page.get_by_role("button", name="Reset")
  _settled(page, lambda: reset.press("Enter"))
  assert _shares(page) == first


def test_shares_are_whole_percents_of_any_weights(opened):
  page = opened()
  sums = page.evaluate("""async () => {
    const { whole, moved, budget } = await import("/page/shares.js");
    const found = new Set();
    for (let turn = 0; turn < 3000; turn++) {
      const names = [..."abcdefg"].slice(0, 1 + turn % 7);
      const weights = Object.fromEntries(
        names.map((n) => [n, turn % 5 ? Math.random() : 0]));
      let shares = whole(weights);
      if (names.length > 1) shares = moved(shares, "b", turn % 101);
      const values = Object.values(shares);
      const bad = values.some((v) => v < 0 || !Number.isInteger(v));
      const total = Object.values(budget(shares)).reduce((a, b) => a + b);
      const off = Math.abs(total - 1) > 1e-9;
      found.add(bad || off ? "bad" : values.reduce((a, b) => a + b));
    }
    return [...found];
  }""")
  assert sums == [100]


def test_an_item_is_shown_with_title_attributes_and_outcome(opened, client):
  page = opened()
  found = client.get("/v1/items", params={"query": "poster 12"}).json()
  (item,) = found["items"]
  assert item["title"] == "poster 12"
  _settled(page, lambda: page.get_by_label("Candidates").fill("20"))
  row = page.locator(LIST).filter(has_text=f"#{item['item']}")
  text = row.inner_text()
  assert "poster 12" in text
  assert f"author {item['features']['author'][0]}" in text
  assert row.locator(".tag").inner_text() in ("click", "save", "like")
  # An item without a title is shown by its id.
  assert {"107", "114", "121"} & {*_list(page)}


def test_settings_are_those_of_the_request(opened):
  page = opened()
  _settled(page, lambda: page.get_by_label("Surface").select_option("search"))
  _settled(page, lambda: page.get_by_label("Candidates").fill("7"))
  _settled(page, lambda: page.get_by_label("Steps").fill("2"))
  hour = page.get_by_label("1 hour")
  found = _settled(page, hour.check)
  asked = _request(page)
  assert asked["surface"] == "search"
  assert (asked["candidates"], asked["steps"]) == (7, 2)
  assert asked["offsets"] == [-1, 3600]
  assert page.locator(LIST).count() == 7
  vectors = found["map"]["vectors"]
  assert {one["step"] for one in vectors} == {0, 1}
  assert {one["offset"] for one in vectors} == {-1, 3600}
  _settled(page, page.get_by_label("next event").uncheck)
  assert hour.is_disabled()  # One offset stays.
  page.get_by_label("Candidates").fill("21")
  assert page.get_by_role("alert").inner_text() == "use 1 to 20"
  assert _request(page)["candidates"] == 7


def test_overlaps_are_those_of_the_lists(opened):
  page = opened()
  own = {*_list(page)}
  for name in ("Unconditioned twin", "Popularity"):
    column = page.locator(".columns > div").filter(has_text=name)
    other = column.locator(".title").all_inner_texts()
    said = column.locator("p").inner_text()
    assert said == f"{len(own & {*other})} of {len(other)} are in the list"
    assert column.locator(".tag").count() == len(own & {*other})


def test_the_map_has_a_text_for_every_point(opened):
  page = opened()
  users = page.get_by_label("Sample user")
  found = _settled(page, lambda: users.select_option("u05"))
  read = found["answer"]["events_read"]
  assert 0 < read < page.locator("ol[aria-label^='history'] li").count()
  note = page.locator(".note").inner_text()
  assert note == f"The model reads {read} of them."
  for name in ("", "All items"):
    if name:
      page.get_by_role("button", name=name).click()
    hints = page.evaluate("""async () => {
      const canvas = document.querySelector("canvas"), found = new Set();
      for (let x = 4; x < canvas.clientWidth; x += 16)
        for (let y = 4; y < canvas.clientHeight; y += 16) {
          const box = canvas.getBoundingClientRect();
          canvas.dispatchEvent(new PointerEvent("pointermove", {
            clientX: box.left + x, clientY: box.top + y, bubbles: true }));
          await null;
          const hint = document.querySelector(".hint");
          if (hint) found.add(hint.textContent.trim().split(/[.:]/)[0]);
        }
      return [...found];
    }""")
    assert {"history", "vector", "1"} <= {*hints}, sorted(hints)


def test_a_history_can_be_composed(opened):
  page = opened()
  empty = page.get_by_role("button", name="Empty")
  found = _settled(page, empty.click)
  assert found["answer"]["history"] == "none"
  assert "Without a history" in page.locator(".note").first.inner_text()
  assert page.locator(LIST).count() == 20
  without = _list(page)
  page.locator("#search").fill("poster 5")
  page.keyboard.press("Enter")
  page.wait_for_selector("ul[aria-label='items found'] li")
  page.get_by_label("Action of the event").select_option("save")
  add = page.get_by_role("button", name="add poster 5", exact=True)
  found = _settled(page, add.click)
  assert found["answer"]["events_read"] == 1
  assert _request(page)["events"] == [{"item": 105, "actions": ["save"]}]
  assert _list(page) != without
  shown = page.locator("ol[aria-label^='history'] li").inner_text()
  assert "poster 5" in shown
  assert "save" in shown
  remove = page.get_by_role("button", name="remove event 1")
  _settled(page, remove.click)
  assert _list(page) == without
  page.locator("#search").fill("no such item")
  page.keyboard.press("Enter")
  page.get_by_text("No item has this").wait_for()


def test_a_user_that_is_unknown_is_named(opened):
  page = opened()
  page.locator("#other").fill("nobody/at all")
  _settled(page, lambda: page.get_by_role("button", name="Load").click())
  said = page.locator(".note").first.inner_text()
  assert said == "The server knows no events of nobody/at all."
  assert _request(page)["user"] == "nobody/at all"
  assert page.locator(LIST).count() == 20
  users = page.get_by_label("Sample user")
  _settled(page, lambda: users.select_option("u05"))
  assert "events" not in _request(page)
  assert "knows no events" not in page.content()


def _failing(status, body):
  """Returns a handler that answers calls with an error."""
  return lambda route: route.fulfill(status=status, body=body)


def test_an_error_is_shown_in_words(opened):
  page = opened(expected="Failed to load resource")
  before, alert = _list(page), page.get_by_role("alert")
  path = "**/v1/explain"
  for status, body, message in (
    (422, '{"error": "budget is 2; use 1"}', "refused: budget is 2; use 1."),
    (413, '{"error": "the body is too large"}', "the body is too large"),
    (500, "<html>", "The server answered with status 500."),
  ):
    page.route(path, _failing(status, body))
    page.locator("#share-like").press("End")
    if alert.count():
      page.get_by_role("button", name="Try again").click()
    alert.filter(has_text=message).wait_for()
    assert _list(page) == before  # The last list stays.
    page.unroute(path)
  page.get_by_role("button", name="Try again").click()
  alert.wait_for(state="detached")
  assert {*_texts(page, f"{LIST} .tag")} == {"like"}


def test_a_server_that_is_gone_is_found_again(opened):
  page = opened(expected="Failed to load resource")
  page.context.set_offline(True)
  page.locator("#share-like").press("End")
  page.get_by_role("alert").wait_for()
  assert "does not answer" in page.get_by_role("alert").inner_text()
  page.context.set_offline(False)
  page.get_by_role("alert").wait_for(state="detached")  # Without a click.
  assert {*_texts(page, f"{LIST} .tag")} == {"like"}


def test_a_page_that_opens_too_early_waits_for_the_server(opened):
  page = opened("/docs", expected="503")
  body = '{"error": "the server is loading the bundle; try again"}'
  for path in ("**/v1/info", "**/v1/users/*"):
    page.route(path, _failing(503, body))
  page.goto(page.url.replace("/docs", "/"))
  page.get_by_role("alert").wait_for()
  assert "loading the bundle" in page.get_by_role("alert").inner_text()
  page.unroute("**/v1/info")
  page.get_by_role("heading", name="History: 0 events").wait_for()
  page.unroute("**/v1/users/*")
  page.wait_for_selector(LIST)
  assert page.get_by_label("Sample user").input_value() == "u00"


def test_another_bundle_is_noticed(opened):
  page = opened()

  def as_of_another(route):
    found = route.fetch().json()
    found["answer"]["bundle"] = "another"
    route.fulfill(json=found)

  page.route("**/v1/explain", as_of_another)
  with page.expect_request("**/v1/info"):
    page.locator("#share-like").press("End")


def test_a_token_is_asked_for(opened):
  page = opened("/docs", expected="401")

  def guard(route):
    if route.request.headers.get("authorization") == "Bearer secret":
      return route.continue_()
    return route.fulfill(status=401, body='{"error": "the token is wrong"}')

  page.route("**/v1/**", guard)
  page.goto(page.url.replace("/docs", "/"))
  page.get_by_label("This server needs a token.").fill("guess")
  page.keyboard.press("Enter")
  page.get_by_text("This token is wrong.").wait_for()
  page.get_by_label("This server needs a token.").fill("secret")
  page.keyboard.press("Enter")
  page.wait_for_selector(LIST)
  assert "$PINREC_TOKEN" in page.locator("pre").inner_text()
  assert "secret" not in page.content()


@pytest.mark.parametrize(
  "scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)]
)
def test_the_page_fits_a_phone_and_has_no_barrier(opened, scheme):
  axe = pytest.importorskip("axe_playwright_python.sync_playwright")
  phone = {"width": 390, "height": 844}
  for path in ("/", "/docs"):
    page = opened(path, viewport=phone, color_scheme=scheme)
    page.wait_for_selector("section")
    if path == "/":
      page.locator("#share-like").press("End")  # Both colors of changes.
      page.locator("#search").fill("poster")
      page.keyboard.press("Enter")
      page.wait_for_selector("ul[aria-label='items found'] li")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    found = axe.Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []
