//! Tokens of hosts, codes to enrol them, accounts and their sessions, and the audit log. Only hashes of secrets are kept.

use std::fmt;

use nixmon_fleet::HostName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hosts::{HostId, add};
use super::session::Row;
use super::{Engine, EngineError};

/// A random secret of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn random() -> Result<Self, EngineError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| {
            EngineError::Unavailable(format!("the system has no random numbers: {error}"))
        })?;
        Ok(Self(hex(&bytes)))
    }

    /// Returns its text, which is shown once and kept nowhere.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns its hash.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a secret. Secrets are random and long, so it is as good as a slow hash; and looking one up in an index tells a
/// guesser at most the beginning of a hash, from which no secret follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

impl Hash {
    /// Returns the hash of a secret that somebody has sent.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

/// The extent of what an account may do. A later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look at everything but accounts.
    View,
    /// Start and stop commands.
    Operate,
    /// Add and remove hosts and accounts.
    Admin,
}

impl Role {
    /// Returns the name in JSON and in a database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Returns the role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::View, Self::Operate, Self::Admin].into_iter().find(|role| role.as_str() == name)
    }
}

/// An account of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The hash of its password, in a form that says how it was made.
    pub password: String,
    /// Its role.
    pub role: Role,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
}

/// A session of a person who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The name of the account.
    pub account: String,
    /// Its role at the moment.
    pub role: Role,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// A token of a host, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
    /// When it was revoked.
    pub revoked_at: Option<u64>,
}

/// The result of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The host has a token now.
    Host(HostId),
    /// The code is unknown, used or expired, or is that of another host.
    Refused,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditEntry {
    /// Its number, in the order of the log; ignored when one is added.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The account or the host.
    pub who: String,
    /// The action.
    pub what: String,
    /// The host that it was about.
    pub host: Option<String>,
    /// Its result.
    pub result: String,
}

impl Engine {
    /// Returns a text that identifies the data of the hub, which is made once.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn identity(&self) -> Result<String, EngineError> {
        self.write(Secret::random()?, |session, fresh| {
            Box::pin(async move {
                let sql =
                    "INSERT INTO fact (name, value) VALUES ('identity', $1) ON CONFLICT (name) DO NOTHING";
                session.execute(sql, &[fresh.text().get(..32).into()]).await?;
                let rows = session.query("SELECT value FROM fact WHERE name = 'identity'", &[]).await?;
                rows.first()
                    .map_or(Err(EngineError::Damaged("it has no identity".to_owned())), |row| row.text(0))
            })
        })
        .await
    }

    /// Gives a host a token.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such host.
    pub async fn add_token(&self, host: HostId, hash: Hash, now: u64) -> Result<(), EngineError> {
        self.write((host, hash, now), |session, (host, hash, now)| {
            Box::pin(async move {
                let sql = "INSERT INTO token (hash, host, created_at) VALUES ($1, $2, $3)
                    ON CONFLICT (hash) DO NOTHING";
                session.execute(sql, &[(&hash.0).into(), host.0.into(), (*now).into()]).await.map(drop)
            })
        })
        .await
    }

    /// Returns the host whose token has a hash, unless it was revoked.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn host_of_token(&self, hash: Hash) -> Result<Option<(HostId, HostName)>, EngineError> {
        self.read(hash, |session, hash| {
            Box::pin(async move {
                let sql = "SELECT host.id, host.name FROM token JOIN host ON host.id = token.host
                    WHERE token.hash = $1 AND token.revoked_at IS NULL";
                let rows = session.query(sql, &[(&hash.0).into()]).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let name = HostName::new(row.text(1)?)
                    .map_err(|_| EngineError::Damaged("the name of a host cannot be read".to_owned()))?;
                Ok(Some((HostId(row.int(0)?), name)))
            })
        })
        .await
    }

    /// Returns the tokens of a host, the newest first.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn tokens(&self, host: HostId) -> Result<Vec<Token>, EngineError> {
        self.read(host, |session, host| {
            Box::pin(async move {
                let sql = "SELECT created_at, revoked_at FROM token WHERE host = $1 ORDER BY id DESC";
                let rows = session.query(sql, &[host.0.into()]).await?;
                rows.iter()
                    .map(|row| Ok(Token { created_at: row.uint(0)?, revoked_at: row.opt_uint(1)? }))
                    .collect()
            })
        })
        .await
    }

    /// Revokes all tokens of a host. Returns their number.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn revoke_tokens(&self, host: HostId, now: u64) -> Result<u64, EngineError> {
        self.write((host, now), |session, (host, now)| {
            Box::pin(async move {
                let sql = "UPDATE token SET revoked_at = $2 WHERE host = $1 AND revoked_at IS NULL";
                session.execute(sql, &[host.0.into(), (*now).into()]).await
            })
        })
        .await
    }

    /// Keeps a code with which a host gets a token once, until it expires.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn add_code(
        &self,
        code: Hash,
        host: &HostName,
        created_by: &str,
        now: u64,
        expires_at: u64,
    ) -> Result<(), EngineError> {
        let args = (code, host.clone(), created_by.to_owned(), now, expires_at);
        self.write(args, |session, (code, host, created_by, now, expires_at)| {
            Box::pin(async move {
                let sql = "INSERT INTO code (hash, host, created_by, created_at, expires_at)
                    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (hash) DO NOTHING";
                let params = [
                    (&code.0).into(),
                    host.as_str().into(),
                    created_by.into(),
                    (*now).into(),
                    (*expires_at).into(),
                ];
                session.execute(sql, &params).await.map(drop)
            })
        })
        .await
    }

    /// Uses a code up, and gives its host the token with this hash. Using it again for the same token changes nothing.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn redeem(
        &self,
        code: Hash,
        host: &HostName,
        token: Hash,
        now: u64,
    ) -> Result<Redeemed, EngineError> {
        self.write((code, host.clone(), token, now), |session, (code, host, token, now)| {
            Box::pin(async move {
                let sql = "UPDATE code SET used_by = $3
                    WHERE hash = $1 AND host = $2 AND expires_at > $4 AND (used_by IS NULL OR used_by = $3)";
                let params = [(&code.0).into(), host.as_str().into(), (&token.0).into(), (*now).into()];
                if session.execute(sql, &params).await? == 0 {
                    return Ok(Redeemed::Refused);
                }
                let id = add(session, host, *now).await?;
                let sql = "INSERT INTO token (hash, host, created_at) VALUES ($1, $2, $3)
                    ON CONFLICT (hash) DO NOTHING";
                session.execute(sql, &[(&token.0).into(), id.0.into(), (*now).into()]).await?;
                Ok(Redeemed::Host(id))
            })
        })
        .await
    }

    /// Keeps an account, in the place of one of the same name. A new password ends its sessions.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn put_account(&self, account: Account) -> Result<(), EngineError> {
        self.write(account, |session, account| {
            Box::pin(async move {
                let sql = "DELETE FROM session WHERE account = $1
                    AND NOT EXISTS (SELECT 1 FROM account WHERE name = $1 AND password = $2)";
                session.execute(sql, &[(&account.name).into(), (&account.password).into()]).await?;
                let sql = "INSERT INTO account (name, password, role, created_at) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (name) DO UPDATE SET password = excluded.password, role = excluded.role";
                let params = [
                    (&account.name).into(),
                    (&account.password).into(),
                    account.role.as_str().into(),
                    account.created_at.into(),
                ];
                session.execute(sql, &params).await.map(drop)
            })
        })
        .await
    }

    /// Removes an account with its sessions. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn remove_account(&self, name: &str) -> Result<bool, EngineError> {
        self.write(name.to_owned(), |session, name| {
            Box::pin(async move {
                Ok(session.execute("DELETE FROM account WHERE name = $1", &[name.into()]).await? > 0)
            })
        })
        .await
    }

    /// Returns an account.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, EngineError> {
        self.read(name.to_owned(), |session, name| {
            Box::pin(async move {
                let sql = "SELECT name, password, role, created_at FROM account WHERE name = $1";
                session.query(sql, &[name.into()]).await?.first().map(account).transpose()
            })
        })
        .await
    }

    /// Returns all accounts by their names.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn accounts(&self) -> Result<Vec<Account>, EngineError> {
        self.read((), |session, ()| {
            Box::pin(async move {
                let sql = "SELECT name, password, role, created_at FROM account ORDER BY name";
                session.query(sql, &[]).await?.iter().map(account).collect()
            })
        })
        .await
    }

    /// Keeps a session.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such account.
    pub async fn add_session(
        &self,
        hash: Hash,
        account: &str,
        now: u64,
        expires_at: u64,
    ) -> Result<(), EngineError> {
        self.write(
            (hash, account.to_owned(), now, expires_at),
            |session, (hash, account, now, expires_at)| {
                Box::pin(async move {
                    let sql = "INSERT INTO session (hash, account, created_at, expires_at)
                    SELECT $1, name, $3, $4 FROM account WHERE name = $2 ON CONFLICT (hash) DO NOTHING";
                    let params = [(&hash.0).into(), account.into(), (*now).into(), (*expires_at).into()];
                    session.execute(sql, &params).await?;
                    let rows =
                        session.query("SELECT 1 FROM session WHERE hash = $1", &[(&hash.0).into()]).await?;
                    if rows.is_empty() {
                        Err(EngineError::Absent("there is no such account"))
                    } else {
                        Ok(())
                    }
                })
            },
        )
        .await
    }

    /// Returns a session that has not ended.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn session(&self, hash: Hash, now: u64) -> Result<Option<StoredSession>, EngineError> {
        self.read((hash, now), |session, (hash, now)| {
            Box::pin(async move {
                let sql = "SELECT account.name, account.role, session.expires_at
                    FROM session JOIN account ON account.name = session.account
                    WHERE session.hash = $1 AND session.expires_at > $2";
                let rows = session.query(sql, &[(&hash.0).into(), (*now).into()]).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let (account, role, expires_at) = (row.text(0)?, role(row, 1)?, row.uint(2)?);
                Ok(Some(StoredSession { account, role, expires_at }))
            })
        })
        .await
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn end_session(&self, hash: Hash) -> Result<(), EngineError> {
        self.write(hash, |session, hash| {
            Box::pin(async move {
                session.execute("DELETE FROM session WHERE hash = $1", &[(&hash.0).into()]).await.map(drop)
            })
        })
        .await
    }

    /// Adds a line to the audit log.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn add_audit(&self, entry: AuditEntry) -> Result<(), EngineError> {
        // With a key of its own, so that it is there once also if the first try was committed and nobody heard of it.
        self.write((Secret::random()?, entry), |session, (request, entry)| {
            Box::pin(async move {
                let sql = "INSERT INTO audit (request, at, who, what, host, result)
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (request) DO NOTHING";
                let params = [
                    request.text().into(),
                    entry.at.into(),
                    (&entry.who).into(),
                    (&entry.what).into(),
                    entry.host.as_deref().into(),
                    (&entry.result).into(),
                ];
                session.execute(sql, &params).await.map(drop)
            })
        })
        .await
    }

    /// Returns lines of the audit log, the newest first, from below a number on.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn audit(&self, below: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>, EngineError> {
        self.read((below.unwrap_or(i64::MAX), limit as u64), |session, (below, limit)| {
            Box::pin(async move {
                let sql = "SELECT id, at, who, what, host, result FROM audit WHERE id < $1
                    ORDER BY id DESC LIMIT $2";
                let rows = session.query(sql, &[(*below).into(), (*limit).into()]).await?;
                rows.iter()
                    .map(|row| {
                        Ok(AuditEntry {
                            id: row.int(0)?,
                            at: row.uint(1)?,
                            who: row.text(2)?,
                            what: row.text(3)?,
                            host: row.opt_text(4)?,
                            result: row.text(5)?,
                        })
                    })
                    .collect()
            })
        })
        .await
    }
}

fn role(row: &Row, at: usize) -> Result<Role, EngineError> {
    Role::parse(&row.text(at)?)
        .ok_or_else(|| EngineError::Damaged("the role of an account cannot be read".to_owned()))
}

fn account(row: &Row) -> Result<Account, EngineError> {
    Ok(Account { name: row.text(0)?, password: row.text(1)?, role: role(row, 2)?, created_at: row.uint(3)? })
}
