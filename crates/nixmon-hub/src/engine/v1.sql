CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE host (
    id {ID},
    name TEXT NOT NULL UNIQUE,
    store TEXT NOT NULL,
    base BIGINT NOT NULL,
    instance TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    environment TEXT NOT NULL,
    actions TEXT NOT NULL,
    hello_at BIGINT,
    created_at BIGINT NOT NULL,
    change BIGINT NOT NULL
);
CREATE INDEX host_change ON host (change);

-- Apart from the host, since it changes every ten seconds.
CREATE TABLE beat (
    host BIGINT PRIMARY KEY REFERENCES host (id) ON DELETE CASCADE,
    content TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    change BIGINT NOT NULL
);
CREATE INDEX beat_change ON beat (change);

-- `origin` is the number on the host, in its store.
CREATE TABLE run (
    id {ID},
    host BIGINT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    store TEXT NOT NULL,
    origin BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    is_complete BIGINT NOT NULL,
    missing TEXT,
    change BIGINT NOT NULL,
    UNIQUE (host, number),
    UNIQUE (host, store, origin)
);
CREATE INDEX run_change ON run (change);

CREATE TABLE document (
    run BIGINT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    file TEXT NOT NULL,
    version BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (run, file)
);

CREATE TABLE file (
    run BIGINT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    file TEXT NOT NULL,
    generation BIGINT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (run, file)
);

CREATE TABLE piece (
    run BIGINT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    file TEXT NOT NULL,
    generation BIGINT NOT NULL,
    place BIGINT NOT NULL,
    bytes {BYTES} NOT NULL,
    PRIMARY KEY (run, file, generation, place)
);

CREATE TABLE gap (
    run BIGINT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    file TEXT NOT NULL,
    generation BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, file, generation, first)
);

CREATE TABLE batch (
    id {ID},
    request TEXT NOT NULL UNIQUE,
    action TEXT NOT NULL,
    at_once BIGINT NOT NULL,
    max_failures BIGINT NOT NULL,
    timeout_s BIGINT,
    on_deadline TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    change BIGINT NOT NULL
);

CREATE TABLE command (
    id {ID},
    request TEXT NOT NULL UNIQUE,
    host BIGINT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    timeout_s BIGINT,
    on_deadline TEXT NOT NULL,
    state TEXT NOT NULL,
    is_open BIGINT NOT NULL,
    is_stop_asked BIGINT NOT NULL,
    sent_at BIGINT,
    run BIGINT,
    exit_code BIGINT,
    message TEXT,
    asked_by TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    batch BIGINT REFERENCES batch (id) ON DELETE SET NULL,
    change BIGINT NOT NULL
);
CREATE INDEX command_host ON command (host, id);
CREATE INDEX command_change ON command (change);
CREATE INDEX command_open ON command (host) WHERE is_open = 1;

CREATE TABLE batch_host (
    batch BIGINT NOT NULL REFERENCES batch (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    host BIGINT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    command BIGINT,
    message TEXT,
    PRIMARY KEY (batch, place)
);

-- Only hashes of secrets are kept.
CREATE TABLE token (
    id {ID},
    hash {BYTES} NOT NULL UNIQUE,
    host BIGINT NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX token_host ON token (host);

CREATE TABLE code (
    hash {BYTES} PRIMARY KEY,
    host TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_by {BYTES}
);

CREATE TABLE account (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE session (
    hash {BYTES} PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE audit (
    id {ID},
    request TEXT NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    host TEXT,
    result TEXT NOT NULL
);

-- Runs that somebody looks at.
CREATE TABLE watched (
    run BIGINT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    until BIGINT NOT NULL
);
