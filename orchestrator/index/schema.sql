CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE offsets (topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE runs (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  workflow TEXT NOT NULL,
  version TEXT NOT NULL,
  state TEXT NOT NULL,
  started INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  off INTEGER NOT NULL,
  key TEXT,
  actor TEXT,
  namespace TEXT,
  attributes TEXT
);
CREATE INDEX runs_started ON runs (started, n);
CREATE INDEX runs_workflow ON runs (workflow, started, n);
CREATE INDEX runs_state ON runs (state, started, n);
CREATE INDEX runs_both ON runs (workflow, state, started, n);
CREATE INDEX runs_key ON runs (key, started, n) WHERE key IS NOT NULL;
CREATE INDEX runs_finished ON runs (finished) WHERE finished > 0;
CREATE TABLE attributes (name TEXT, value TEXT, started INTEGER, n INTEGER, PRIMARY KEY (name, value, started, n)) WITHOUT ROWID;
CREATE INDEX attributes_run ON attributes (n, name, value);
CREATE TABLE counts (state TEXT PRIMARY KEY, runs INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER counts_new AFTER INSERT ON runs BEGIN
  INSERT INTO counts VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET runs = runs + 1;
END;
CREATE TRIGGER counts_gone AFTER DELETE ON runs BEGIN
  UPDATE counts SET runs = runs - 1 WHERE state = old.state;
END;
CREATE TRIGGER counts_moved AFTER UPDATE OF state ON runs WHEN old.state <> new.state BEGIN
  UPDATE counts SET runs = runs - 1 WHERE state = old.state;
  INSERT INTO counts VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET runs = runs + 1;
END;
