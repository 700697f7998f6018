#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The handlers of the examples: real work on SQLite and CSV files, and nothing but the standard library.

    handlers.py NAME <input.json >output.json     one call, as a worker makes it
    handlers.py configure DIRECTORY               the worker's configuration that offers all of them

The directory (EXAMPLES_DATA, default: the working directory) holds shop.db and what is written. A file that is read
is looked for there and then beside the examples. Whatever writes may be called again with the same idempotency key,
or the same id, and then changes nothing: a call whose answer was lost is made again.
"""
import collections
import csv
import json
import os
import pathlib
import re
import sqlite3
import sys

HERE = pathlib.Path(__file__).resolve()
DATA = pathlib.Path(os.environ.get("EXAMPLES_DATA", ".")).resolve()
KEY = os.environ.get("TUTTI_IDEMPOTENCY_KEY", "")

SCHEMA = """
CREATE TABLE IF NOT EXISTS tickets (id TEXT PRIMARY KEY, text TEXT, urgency REAL, handled TEXT);
CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, name TEXT, email TEXT, amount REAL, country TEXT);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT, status TEXT, parcel TEXT, invoice REAL);
CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, price REAL, count INTEGER CHECK (count >= 0));
CREATE TABLE IF NOT EXISTS reserved (order_id TEXT, sku TEXT, count INTEGER, PRIMARY KEY (order_id, sku));
CREATE TABLE IF NOT EXISTS payments (order_id TEXT PRIMARY KEY, amount REAL, state TEXT);
CREATE TABLE IF NOT EXISTS labels (order_id TEXT PRIMARY KEY, service TEXT, state TEXT);
CREATE TABLE IF NOT EXISTS mails (key TEXT PRIMARY KEY, recipient TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS decisions (content_id TEXT PRIMARY KEY, decision TEXT, why TEXT, by TEXT);
CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, balance REAL CHECK (balance >= 0));
CREATE TABLE IF NOT EXISTS transfers (id TEXT PRIMARY KEY, source TEXT, target TEXT, amount REAL);
CREATE TABLE IF NOT EXISTS audit (id TEXT PRIMARY KEY, entry TEXT);
INSERT OR IGNORE INTO orders VALUES ('o-1001', 'c-1', 'packed', 'p-77', 40), ('o-1002', 'c-2', 'sent', 'p-78', 125.5);
INSERT OR IGNORE INTO stock VALUES ('tea', 9.5, 100), ('kettle', 40, 5), ('samovar', 900, 1);
INSERT OR IGNORE INTO accounts VALUES ('acc-1', 50000), ('acc-2', 100), ('acc-3', 0);
"""


def database():
    DATA.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(DATA / "shop.db", timeout=30, isolation_level=None)  # other workers write, too
    db.row_factory = sqlite3.Row
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone():
        db.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
    return db


def changes(*statements):
    """All of them or none."""
    db = database()
    db.execute("BEGIN IMMEDIATE")
    with db:
        return [db.execute(*s).rowcount for s in statements]


def rows(query, *values):
    return [dict(r) for r in database().execute(query, values)]


def table(name):
    """The rows of a CSV file as objects."""
    if pathlib.PurePath(name).name != name:
        raise ValueError(f"{name}: a file of the directory is needed, without a path")
    path = next((p for p in (DATA / name, HERE.parents[1] / "data" / name) if p.exists()), None)
    if not path:
        raise ValueError(f"{name}: no such file in {DATA} or beside the examples")
    with path.open(newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def words(text):
    return re.findall(r"[a-z]{3,}", text.lower())


# --- tickets: urgent_ticket, support_router, customer_service ---

def ticket_rate(x):
    """How urgent a text is, by the words that say so."""
    alarming = {"down": 0.5, "outage": 0.6, "urgent": 0.4, "immediately": 0.3, "lost": 0.3, "late": 0.2, "broken": 0.3}
    urgency = sum(alarming.get(w, 0) for w in set(words(x["text"])))
    return {"id": x["id"], "text": x["text"], "urgency": round(min(urgency, 1.0), 2)}


def ticket_store(x):
    changes(("INSERT OR REPLACE INTO tickets VALUES (?, ?, ?, ?)", (x["id"], x["text"], x["urgency"], x["handled"])))
    return {"id": x["id"], "handled": x["handled"]}


def order_find(x):
    return (rows("SELECT * FROM orders WHERE id = ?", x["order_id"]) or [None])[0]


def mail_send(x):
    """Into the outbox; once, however often it is asked to."""
    changes(("INSERT OR IGNORE INTO mails VALUES (?, ?, ?)", (KEY or x["text"], x["to"], x["text"])))
    return {"to": x["to"], "sent": True}


# --- csv_pipeline ---

def csv_read(x):
    return {"rows": table(x["file"])}


def csv_validate(x):
    """Which rows can be used, and what is wrong with the others. The first line of a file is its header."""
    good, rejected = [], []
    for line, row in enumerate(x["rows"], 2):
        faults = [f for f, wrong in (("name", not row["name"].strip()), ("email", "@" not in row["email"]),
                                     ("amount", not re.fullmatch(r"[\d,]+(\.\d+)?", row["amount"].strip()))) if wrong]
        if faults:
            rejected.append({"line": line, "id": row["id"], "faults": faults})
        else:
            good.append(row)
    return {"rows": good, "rejected": rejected}


def csv_clean(x):
    """Spaces, letters and numbers in one form; of rows with one id the last."""
    clean = {r["id"]: {"id": r["id"], "name": r["name"].strip(), "email": r["email"].strip().lower(),
                       "amount": float(r["amount"].replace(",", "")), "country": r["country"].strip().upper()}
             for r in x["rows"]}
    return {"rows": list(clean.values())}


def csv_load(x):
    insert = "INSERT OR REPLACE INTO customers VALUES (:id, :name, :email, :amount, :country)"
    changes(*((insert, row) for row in x["rows"]))
    return {"loaded": len(x["rows"]), "total": rows("SELECT count(*) AS n FROM customers")[0]["n"]}


# --- hybrid_search, map_reduce ---

def search_words(x):
    """Articles with the most words of the query."""
    wanted = set(words(x["query"]))
    scored = [(sum(w in wanted for w in words(a["title"] + " " + a["text"])), a) for a in table("articles.csv")]
    scored.sort(key=lambda s: -s[0])
    return [{"id": a["id"], "title": a["title"]} for score, a in scored if score][:x["limit"]]


def search_similar(x):
    """Articles whose groups of three letters are most like the query's: finds other forms of a word, too."""
    def groups(text):
        return {w[i:i + 3] for w in words(text) for i in range(len(w) - 2)}
    wanted = groups(x["query"])
    scored = [(len(wanted & g) / (len(wanted | g) or 1), a) for a in table("articles.csv")
              for g in [groups(a["title"] + " " + a["text"])]]
    scored.sort(key=lambda s: -s[0])
    return [{"id": a["id"], "title": a["title"]} for score, a in scored if score > 0.02][:x["limit"]]


def search_merge(x):
    """One list of several by reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    score, found = collections.Counter(), {}
    for hits in x["lists"]:
        for rank, hit in enumerate(hits, 1):
            score[hit["id"]] += 1 / (60 + rank)
            found[hit["id"]] = hit
    return {"hits": [found[i] for i, _ in score.most_common()]}


def documents_list(x):
    return [a["id"] for a in table(x["file"])]


def words_count(x):
    """Of the documents of one batch."""
    wanted = set(x["ids"])
    texts = [a["text"] for a in table(x["file"]) if a["id"] in wanted]
    if len(texts) != len(wanted):
        raise ValueError(f"{len(wanted) - len(texts)} of {len(wanted)} documents are missing in {x['file']}")
    return {"documents": len(texts), "words": dict(collections.Counter(w for t in texts for w in words(t)))}


def words_merge(x):
    """The counts of all batches as one, and as a file."""
    total = collections.Counter()
    for part in x["parts"]:
        total.update(part["words"])
    top = sorted(total.items(), key=lambda w: (-w[1], w[0]))
    with (DATA / x["report"]).open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([("word", "count"), *top])
    return {"documents": sum(p["documents"] for p in x["parts"]), "words": sum(total.values()),
            "top": [{"word": w, "count": n} for w, n in top[:x["top"]]]}


# --- order ---

def order_validate(x):
    """The price of an order, from the shop's own list."""
    prices = {r["sku"]: r["price"] for r in rows("SELECT sku, price FROM stock")}
    unknown = [i["sku"] for i in x["items"] if i["sku"] not in prices]
    total = sum(prices.get(i["sku"], 0) * i["count"] for i in x["items"])
    return {"valid": not unknown, "unknown": unknown, "total": round(total, 2)}


def payment_charge(x):
    """A card takes at most 1,000."""
    if x["amount"] > 1000:
        return {"paid": False, "why": "the card is refused"}
    changes(("INSERT OR IGNORE INTO payments VALUES (?, ?, 'charged')", (x["order_id"], x["amount"])))
    return {"paid": True, "amount": x["amount"]}


def payment_refund(x):
    changes(("UPDATE payments SET state = 'refunded' WHERE order_id = ?", (x["order_id"],)))
    return {"refunded": True}


def stock_reserve(x):
    """All items or none."""
    order = x["order_id"]
    if rows("SELECT 1 FROM reserved WHERE order_id = ?", order):
        return {"reserved": True}
    try:
        for item in x["items"]:
            item["order"] = order
        changes(*((statement, item) for item in x["items"] for statement in (
            "UPDATE stock SET count = count - :count WHERE sku = :sku",
            "INSERT INTO reserved VALUES (:order, :sku, :count)")))
    except sqlite3.IntegrityError:
        return {"reserved": False, "why": "too few in stock"}
    return {"reserved": True}


def stock_release(x):
    changes(("UPDATE stock SET count = count + (SELECT count FROM reserved r WHERE r.sku = stock.sku AND order_id = ?) "
             "WHERE sku IN (SELECT sku FROM reserved WHERE order_id = ?)", (x["order_id"],) * 2),
            ("DELETE FROM reserved WHERE order_id = ?", (x["order_id"],)))
    return {"released": True}


def label_print(x):
    changes(("INSERT OR IGNORE INTO labels VALUES (?, ?, 'valid')", (x["order_id"], x["service"])))
    return {"label": f"{x['service'].upper()}-{x['order_id']}"}


def label_void(x):
    changes(("UPDATE labels SET state = 'void' WHERE order_id = ?", (x["order_id"],)))
    return {"void": True}


# --- content_moderation ---

def screen_words(x):
    """How sure a list of words is that a text is fine, or is not."""
    bad = {"scam": 0.5, "idiot": 0.4, "hate": 0.4, "casino": 0.3, "free": 0.15}
    found = sorted(set(words(x["text"])) & bad.keys())
    return {"found": found, "confidence": round(max(0.0, 1 - sum(bad[w] for w in found)), 2)}


def screen_links(x):
    links = re.findall(r"https?://[^\s]+", x["text"])
    return {"links": links, "confidence": 1.0 if len(links) < 3 else 0.5}


def screen_topics(x):
    sensitive = {"election", "suicide", "weapon", "medicine"}
    found = sorted(set(words(x["text"])) & sensitive)
    return {"found": found, "sensitive": bool(found)}


def decision_store(x):
    changes(("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?)",
             (x["content_id"], x["decision"], x["why"], ", ".join(x["by"]))))
    return {"content_id": x["content_id"], "decision": x["decision"]}


# --- financial_transaction ---

def fraud_check(x):
    """A risk from 0 to 1: by the amount, by what the account has, and by whether it has paid there before."""
    balance = rows("SELECT balance FROM accounts WHERE id = ?", x["source"])
    known = rows("SELECT 1 FROM transfers WHERE source = ? AND target = ?", x["source"], x["target"])
    risk = min(x["amount"] / 50000, 0.5) + (0 if known else 0.3)
    if balance and x["amount"] > 0.8 * balance[0]["balance"]:
        risk += 0.2
    return {"risk": round(min(risk, 1.0), 2), "level": "high" if risk >= 0.6 else "low"}


def transfer_book(x):
    """From one account to the other, once for an id."""
    if rows("SELECT 1 FROM transfers WHERE id = ?", x["id"]):
        return {"booked": True}
    try:
        changes(("INSERT INTO transfers VALUES (:id, :source, :target, :amount)", x),
                ("UPDATE accounts SET balance = balance - :amount WHERE id = :source", x),
                ("UPDATE accounts SET balance = balance + :amount WHERE id = :target", x))
    except sqlite3.IntegrityError:
        return {"booked": False, "why": "the account has too little"}
    return {"booked": True}


def audit_write(x):
    changes(("INSERT OR IGNORE INTO audit VALUES (?, ?)", (x["id"], json.dumps(x["entry"], sort_keys=True))))
    return {"logged": True}


HANDLERS = {f.__name__.replace("_", "-"): f for f in (
    ticket_rate, ticket_store, order_find, mail_send, csv_read, csv_validate, csv_clean, csv_load, search_words,
    search_similar, search_merge, documents_list, words_count, words_merge, order_validate, payment_charge,
    payment_refund, stock_reserve, stock_release, label_print, label_void, screen_words, screen_links, screen_topics,
    decision_store, fraud_check, transfer_book, audit_write)}


def configuration(directory):
    """What a worker needs to know: the programs, and that the warehouse may be on this machine."""
    data = str(pathlib.Path(directory).resolve())
    return {"handlers": {name: {"exec": {"command": sys.executable, "args": [str(HERE), name],
                                         "env": {"EXAMPLES_DATA": data}, "timeout": "30s"}} for name in HANDLERS},
            "http": {"allow_private": ["127.0.0.1"]}}


def main(name=None, *args):
    if name == "configure" and len(args) == 1:
        print(json.dumps(configuration(args[0]), indent=2))
    elif name in HANDLERS and not args:
        print(json.dumps(HANDLERS[name](json.load(sys.stdin))))
    else:
        sys.exit(f"usage: handlers.py configure DIRECTORY | NAME, one of {', '.join(HANDLERS)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, KeyError, sqlite3.Error) as e:
        sys.exit(f"{type(e).__name__}: {e}")
