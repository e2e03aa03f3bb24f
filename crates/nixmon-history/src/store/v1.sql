CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    host TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    target TEXT,
    command TEXT,
    kind TEXT,
    system TEXT,
    nix_version TEXT,
    max_jobs INTEGER,
    cores INTEGER,
    tool_jobs INTEGER,
    elapsed_ms INTEGER,
    outcome TEXT NOT NULL,
    evaluation_ms INTEGER,
    downloads_ms INTEGER,
    builds_ms INTEGER,
    activation_ms INTEGER,
    built INTEGER,
    failed INTEGER,
    downloaded INTEGER,
    downloaded_bytes INTEGER,
    cpu_s REAL,
    peak_rss_bytes INTEGER,
    resource_source TEXT,
    resource_complete INTEGER,
    source TEXT,
    UNIQUE (key, host, started_ms)
);
CREATE INDEX run_target ON run (target, started_ms);
CREATE INDEX run_started ON run (started_ms);

-- Clustered by package, since estimates read all builds of a package at once.
CREATE TABLE derivation (
    pname TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES run (id),
    seq INTEGER NOT NULL,
    version TEXT NOT NULL,
    drv TEXT,
    system TEXT,
    machine TEXT,
    started_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    concurrency REAL,
    log_bytes INTEGER,
    cpu_s REAL,
    peak_rss_bytes INTEGER,
    resource_source TEXT,
    resource_complete INTEGER,
    PRIMARY KEY (pname, run, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX derivation_run ON derivation (run, seq);

-- The graph among the builds of a run: for each build those it depended on.
CREATE TABLE dependency (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    needs INTEGER NOT NULL,
    PRIMARY KEY (run, seq, needs)
) WITHOUT ROWID;

CREATE TABLE phase (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    PRIMARY KEY (run, seq, position)
) WITHOUT ROWID;

CREATE TABLE download (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    cache TEXT NOT NULL,
    name TEXT,
    bytes INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;

CREATE TABLE unit (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    scope TEXT,
    package TEXT,
    file TEXT NOT NULL,
    stage TEXT,
    started_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE INDEX unit_package ON unit (package, file);

CREATE TABLE package (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    scope TEXT,
    name TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    files INTEGER NOT NULL,
    files_total INTEGER,
    compile_ms INTEGER,
    link_ms INTEGER,
    outcome TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE INDEX package_name ON package (name);

CREATE TABLE prediction (
    run INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    remaining_ms INTEGER NOT NULL,
    low_ms INTEGER NOT NULL,
    high_ms INTEGER NOT NULL,
    coverage REAL NOT NULL,
    by_count_ms INTEGER,
    by_sum_ms INTEGER,
    by_share_ms INTEGER,
    by_chain_ms INTEGER,
    PRIMARY KEY (run, percent)
) WITHOUT ROWID;
