# SPDX-License-Identifier: Apache-2.0
"""The examples of the field, run with their handlers: rows in SQLite, files, and a warehouse that checks signatures."""
import csv
import json
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import yaml

from harness import installation as installations
from harness.base import ROOT
from harness.servers import FakeServer, chat

EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES / "handlers"))

import handlers  # noqa: E402
from warehouse import Warehouse  # noqa: E402

QUEUES = ("default", "orders", "orders.review")
TEA = [{"sku": "tea", "count": 2}, {"sku": "kettle", "count": 1}]
TEXT = "He asked: where is parcel p-78? It is late."


def model(call):
    """What a model would say to the prompts of the examples."""
    asked = call.json()["messages"][-1]["content"]
    for begin, answer in (("What is this question about?", {"choice": "shipping" if "parcel" in asked else "billing"}),
                          ("What does this customer want?", {"intent": "parcel", "angry": True}),
                          ("Extract topic", {"topic": "Q3", "statistics": ["22 %", "5", "8"], "conclusions": ["good"]})):
        if asked.startswith(begin):
            return chat(json.dumps(answer))
    return chat("An answer to: " + asked)


def config_of(data, name):
    return handlers.configuration(data)["handlers"][name]["exec"]


class Site:
    """An installation with the handlers of the examples, a model, and a warehouse."""

    def __init__(self, broker, redis, directory):
        self.data = directory / "data"
        self.data.mkdir(parents=True)
        self.fake = FakeServer()
        self.fake.on("/v1/", model)
        self.full = set()  # orders that the warehouse refuses
        self.warehouse = Warehouse(refuse=lambda path, body: body.get("order_id") in self.full and "we are full")
        self.installation = installations.Installation(broker, redis, queues=QUEUES, directory=directory)
        config = directory / "worker.json"
        words = {"command": sys.executable, "args": ["-c", "import json, sys; "
                 "print(json.dumps({'words': len(json.load(sys.stdin)['text'].split())}))"]}
        config.write_text(json.dumps({**handlers.configuration(self.data), "commands": {"word-count": words}, "models": {
            "default": {"base_url": f"{self.fake.url}/v1", "model": "fake"}}}))
        handler = config_of(self.data, "order-find")  # the first call makes the shop
        subprocess.run([handler["command"], *handler["args"]], input=b'{"order_id": "x"}', env=handler["env"], check=True,
                       stdout=subprocess.DEVNULL)
        self.installation.orchestrator(wait=False)
        self.installation.worker("--config", config, env={
            "TUTTI_SECRET_WAREHOUSE_URL": self.warehouse.url, "TUTTI_SECRET_WAREHOUSE_KEY": self.warehouse.secret,
            "TUTTI_SECRET_TRACKER_TOKEN": "token-1"})
        self.installation.wait_running(self.installation.orchestrators[0])

    def start(self, name, value):
        return self.installation.start(EXAMPLES / f"{name}.yaml", value)

    def run(self, name, value, status="completed"):
        return self.finish(self.start(name, value), status)

    def finish(self, run, status="completed"):
        ended = self.installation.finish(run, 60)
        assert ended["status"] == status, ended
        self.installation.check_once(run)
        return ended

    def answer(self, run, step, decision, who, *args):
        """When the step asks."""
        self.installation.wait_step(run, step, "waiting")
        done = self.installation.tutti("answer", run, step, decision, "--as", who, *args)
        assert done.code == 0, done

    def rows(self, query, *values):
        with sqlite3.connect(self.data / "shop.db", timeout=30) as db:
            return db.execute(query, values).fetchall()

    def told(self, path, **fields):
        """Bodies that the warehouse took there, with these members."""
        return [body for where, body in self.warehouse.taken.values()
                if where == path and fields.items() <= body.items()]

    def close(self):
        self.installation.close()
        self.warehouse.close()
        self.fake.close()


@pytest.fixture(scope="session")
def site(session_broker, shared_redis, workspace):
    site = Site(session_broker, shared_redis, workspace / f"examples-{session_broker.name}")
    yield site
    site.installation.check_topics()
    site.close()


@pytest.mark.parametrize("text,handled,mails", [
    ("The shop is down, an outage! Help immediately.", "paged", 1), ("My urgent question", "queued", 0),
    ("When do you open?", "later", 0)])
def test_a_ticket_goes_where_its_urgency_says(site, text, handled, mails):
    ticket = f"t-{handled}"
    output = site.run("urgent_ticket", {"id": ticket, "text": text})["output"]
    assert output["handled"] == handled
    assert site.rows("SELECT text, urgency, handled FROM tickets WHERE id = ?", ticket) == [
        (text, output["urgency"], handled)]
    assert len(site.rows("SELECT 1 FROM mails WHERE text = ?", f"URGENT {ticket}: {text}")) == mails


def test_the_good_rows_of_a_file_are_loaded_clean(site):
    output = site.run("csv_pipeline", {"file": "customers.csv"})["output"]
    assert output["loaded"] == 3 and [r["id"] for r in output["rejected"]] == ["c-3", "c-4", "c-6"]
    assert site.rows("SELECT * FROM customers ORDER BY id") == [
        ("c-1", "Ada Lovelace", "ada@example.org", 1200.5, "GB"),
        ("c-2", "Grace Hopper", "grace@example.org", 1080, "US"),
        ("c-5", "Kristen Nygaard", "kristen@example.org", 2000, "NO")]


def test_of_a_file_with_too_many_bad_rows_nothing_is_loaded(site):
    (site.data / "bad.csv").write_text("id,name,email,amount,country\nb-1,Ann,ann@example.org,1,no\nb-2,,,,\nb-3,,,,\n")
    error = site.run("csv_pipeline", {"file": "bad.csv"}, "failed")["error"]
    assert error["type"] == "rejected" and "2 of 3 rows" in error["message"]
    assert site.rows("SELECT * FROM customers WHERE id LIKE 'b-%'") == []


@pytest.mark.parametrize("question,about,word", [("Where is my parcel?", "shipping", "p-78"),
                                                 ("What did I pay?", "billing", "125.5")])
def test_a_question_is_answered_from_what_it_is_about(site, question, about, word):
    who = f"{about}@example.org"
    output = site.run("support_router", {"question": question, "order_id": "o-1002", "email": who})["output"]
    assert output["about"] == about and word in output["answer"]
    assert site.rows("SELECT text FROM mails WHERE recipient = ?", who) == [(output["answer"],)]


def test_an_order_that_nobody_knows_costs_no_model_call(site):
    before = len(site.fake.calls)
    value = {"question": "Where is it?", "order_id": "o-9", "email": "nobody@example.org"}
    assert site.run("support_router", value)["output"]["about"] == "nothing"
    assert len(site.fake.calls) == before


def test_a_search_is_widened_until_it_finds_enough(site):
    run = site.start("hybrid_search", {"query": "refund of an order", "wanted": 6})
    output = site.finish(run)["output"]
    hits = [h["id"] for h in output["hits"]]
    assert output["enough"] and len(hits) == len(set(hits)) >= 6 and output["limit"] > 2
    assert {"a-1", "a-2"} <= set(hits[:4]), "what has both words comes first"
    few = site.run("hybrid_search", {"query": "refund", "wanted": 1})["output"]
    assert few["enough"] and few["limit"] == 2


def test_an_answer_is_sent_as_a_person_has_edited_it(site):
    run = site.start("customer_service", {"message": TEXT, "order_id": "o-1002", "email": "late@example.org"})
    site.installation.wait_step(run, "check", "waiting")
    assert site.installation.status(run)["status"] == "waiting_approval"
    assert site.rows("SELECT 1 FROM mails WHERE recipient = 'late@example.org'") == []
    site.answer(run, "check", "approve", "ann", "--values", '{"answer": "It comes tomorrow."}')
    output = site.finish(run)["output"]
    assert output["by"] == ["ann"] and output["intent"] == "parcel"
    assert site.rows("SELECT text FROM mails WHERE recipient = 'late@example.org'") == [("It comes tomorrow.",)]
    prompts = [c.json()["messages"][-1]["content"] for c in site.fake.calls]
    assert any('"parcel":"p-78"' in p and TEXT in p for p in prompts), "the order itself was given to the model"


def test_an_answer_that_is_rejected_is_left_to_people(site):
    run = site.start("customer_service", {"message": TEXT, "order_id": "o-1002", "email": "no@example.org"})
    site.answer(run, "check", "reject", "bob", "--comment", "nonsense")
    assert site.finish(run)["output"]["sent"] is False
    assert site.rows("SELECT text FROM tickets WHERE id = ?", run) == [(TEXT,)]
    assert site.rows("SELECT 1 FROM mails WHERE recipient = 'no@example.org'") == []


def stock(site):
    return dict(site.rows("SELECT sku, count FROM stock"))


@pytest.mark.parametrize("order,more,service", [("e-1", {}, "standard"), ("e-2", {"premium_customer": True}, "express"),
                                                ("e-3", {"expedited_shipping": True}, "express")])
def test_an_order_is_paid_packed_and_confirmed(site, order, more, service):
    before = stock(site)
    output = site.run("e_commerce_order", {"order_id": order, "email": f"{order}@example.org", "items": TEA, **more})["output"]
    assert output == {"order_id": order, "total": 59, "label": f"{service.upper()}-{order}"}
    assert site.rows("SELECT amount, state FROM payments WHERE order_id = ?", order) == [(59, "charged")]
    assert stock(site) == {**before, "tea": before["tea"] - 2, "kettle": before["kettle"] - 1}
    assert site.told("/orders", order_id=order) == [{"order_id": order, "items": TEA, "label": output["label"]}]
    assert len(site.rows("SELECT 1 FROM mails WHERE recipient = ?", f"{order}@example.org")) == 1


def test_an_order_that_the_warehouse_refuses_is_undone(site):
    site.full.add("full-1")
    before = stock(site)
    ended = site.run("e_commerce_order", {"order_id": "full-1", "email": "full@example.org", "items": TEA}, "rolled_back")
    assert ended["error"]["step"] == "warehouse" and "422" in ended["error"]["message"]
    assert site.rows("SELECT amount, state FROM payments WHERE order_id = 'full-1'") == [(59, "refunded")]
    assert site.rows("SELECT state FROM labels WHERE order_id = 'full-1'") == [("void",)]
    assert stock(site) == before and site.told("/orders", order_id="full-1") == []
    assert site.rows("SELECT 1 FROM mails WHERE recipient = 'full@example.org'") == []


@pytest.mark.parametrize("order,items,words", [
    ("poor", [{"sku": "samovar", "count": 1}, {"sku": "tea", "count": 20}], "payment was refused"),
    ("greedy", [{"sku": "tea", "count": 101}], "in stock")])
def test_half_of_an_order_is_undone_when_the_other_half_fails(site, order, items, words):
    before = stock(site)
    ended = site.run("e_commerce_order", {"order_id": order, "email": "x@example.org", "items": items}, "rolled_back")
    assert words in ended["error"]["message"], ended
    assert stock(site) == before
    assert site.rows("SELECT 1 FROM payments WHERE order_id = ? AND state = 'charged'", order) == []


@pytest.mark.parametrize("content,text,decision,published", [
    ("m-1", "A fine day.", None, "published"), ("m-2", "Free casino, no scam!", "approve", "published"),
    ("m-3", "News of the election", "reject", "removed")])
def test_a_moderator_decides_where_the_screens_are_not_sure(site, content, text, decision, published):
    run = site.start("content_moderation", {"content_id": content, "text": text})
    if decision:
        site.answer(run, "review", decision, "bob")
    assert site.finish(run)["output"]["decision"] == published
    [(stored, by)] = site.rows("SELECT decision, by FROM decisions WHERE content_id = ?", content)
    assert stored == published and (by == "bob") == (decision == "approve")
    assert site.told("/moderation") and site.told("/moderation", content_id=content) == [
        {"content_id": content, "decision": published}]


def transfer(name, amount, **more):
    return {"id": name, "source": "acc-1", "target": "acc-2", "amount": amount, "email": f"{name}@example.org", **more}


def balances(site):
    return dict(site.rows("SELECT id, balance FROM accounts"))


def test_a_small_transfer_is_booked_and_logged_without_a_check(site):
    before = balances(site)
    output = site.run("financial_transaction", transfer("x-1", 100))["output"]
    assert output == {"id": "x-1", "checked": False, "approved_by": []}
    assert balances(site) == {**before, "acc-1": before["acc-1"] - 100, "acc-2": before["acc-2"] + 100}
    assert len(site.rows("SELECT 1 FROM audit WHERE id = 'x-1'")) == 1
    assert len(site.rows("SELECT 1 FROM mails WHERE recipient = 'x-1@example.org'")) == 1


def test_a_risky_transfer_waits_for_two_people(site):
    run = site.start("financial_transaction", transfer("x-2", 30000, target="acc-3"))
    site.answer(run, "compliance", "approve", "ann")
    assert site.rows("SELECT 1 FROM transfers WHERE id = 'x-2'") == [], "one of two is not enough"
    site.answer(run, "compliance", "approve", "eve")
    assert site.finish(run)["output"] == {"id": "x-2", "checked": True, "approved_by": ["ann", "eve"]}
    assert balances(site)["acc-3"] == 30000
    [(entry,)] = site.rows("SELECT entry FROM audit WHERE id = 'x-2'")
    assert json.loads(entry)["by"]["by"] == ["ann", "eve"]


def test_an_unusual_transfer_is_checked_however_small_it_is(site):
    output = site.run("financial_transaction", transfer("x-3", 5, unusual_pattern=True))["output"]
    assert output == {"id": "x-3", "checked": True, "approved_by": []}


def test_a_transfer_that_compliance_rejects_moves_nothing(site):
    before = balances(site)
    run = site.start("financial_transaction", transfer("x-4", 29000, target="acc-9"))
    site.answer(run, "compliance", "reject", "bob", "--comment", "who is acc-9?")
    assert site.finish(run, "failed")["error"]["type"] == "rejected"
    assert balances(site) == before and site.rows("SELECT 1 FROM transfers WHERE id = 'x-4'") == []


def test_the_words_of_many_documents_are_counted_in_batches(site):
    many = 500
    with (site.data / "many.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["id", "text"])
        out.writerows([f"d-{i}", "tea " + "word " * (i % 3)] for i in range(many))
    output = site.run("map_reduce", {"file": "many.csv", "report": "counts.csv"})["output"]
    words = sum(i % 3 for i in range(many))
    assert output["documents"] == many and output["failed"] == 0 and output["words"] == many + words
    assert output["top"] == sorted(({"word": "tea", "count": many}, {"word": "word", "count": words}),
                                   key=lambda w: -w["count"])
    with (site.data / "counts.csv").open() as f:
        assert {"word": "tea", "count": str(many)} in csv.DictReader(f)


def test_the_first_examples_run_too(site):
    assert site.run("hello", {"name": "Ada"})["output"] == {"greeting": "Hello, Ada!"}
    assert site.run("fan_out", {"item": "tea"})["output"] == {"item": "tea", "note": "quotes for tea"}
    assert site.run("exec_tool", {"text": "two words"})["output"] == {"words": 2, "long": False}
    assert site.run("order_trigger", {"order_id": "o-1", "amount": 2000})["output"] == {"order_id": "o-1", "shipped": True}
    summary = site.run("investor_summary", {"document": "Revenue grew by 22 %."})["output"]
    assert summary["topic"] == "Q3" and summary["summary"].startswith("An answer to: Write at most 300 words")
    site.fake.on("/api/tickets/", lambda c: {"title": "Broken", "auth": c.headers["authorization"]})
    text = (EXAMPLES / "http_tool.yaml").read_text().replace("https://tracker.example.com", site.fake.url)
    ended = site.finish(site.installation.start(yaml.safe_load(text), {"ticket": 7, "comment": "On it."}))
    assert ended["output"]["ticket"]["title"] == "Broken" and ended["output"]["commented"] is True
    assert [c.json() for c in site.fake.of("/api/tickets/7/comments")] == [{"text": "On it."}]


def test_the_warehouse_refuses_what_is_not_signed(site):
    request = urllib.request.Request(f"{site.warehouse.url}/orders", b"{}", {
        "webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)
    assert "x" not in site.warehouse.taken


def test_every_example_is_run_here():
    names = {p.stem for p in EXAMPLES.glob("*.yaml") if not p.name.endswith(".test.yaml")}
    text = (ROOT / "tests/e2e/test_examples.py").read_text()
    assert {n for n in names if f'"{n}' not in text} == set()


def test_one_command_runs_an_example_with_its_handlers(tmp_path):
    """As docs/examples.md says."""
    config = tmp_path / "worker.json"
    config.write_text(json.dumps(handlers.configuration(tmp_path)))
    done = installations.run_program("tutti", "dev", "--worker-config", config, "--run", EXAMPLES / "csv_pipeline.yaml",
                                     "--input-json", '{"file": "customers.csv"}', "--json", seconds=90)
    assert done.code == 0 and '"loaded":3' in done.out.replace(" ", ""), done
    with sqlite3.connect(tmp_path / "shop.db") as db:
        assert db.execute("SELECT count(*) FROM customers").fetchone() == (3,)
