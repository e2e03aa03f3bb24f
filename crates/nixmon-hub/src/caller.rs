//! The one who asks: a person or a program with a role, or a host.

use axum::http::StatusCode;
use nixmon_fleet::HostName;

use crate::engine::{HostId, Role};
use crate::failure::Failure;

/// The one who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A person, or a program with the token of the hub.
    Person {
        /// The name for the audit log.
        name: String,
        /// The extent of what it may do.
        role: Role,
    },
    /// A host with its own token. It reports about itself, and sees nothing.
    Host {
        /// Its key.
        id: HostId,
        /// Its name.
        name: HostName,
    },
    /// Somebody with a code to enrol a host.
    Code,
}

impl Caller {
    /// Returns the one who asks where nobody has to say who it is: on this machine, without accounts and without a token.
    pub(crate) fn local() -> Self {
        Self::Person { name: "local".to_owned(), role: Role::Admin }
    }

    /// Returns the one who has the token of the hub.
    pub(crate) fn with_token() -> Self {
        Self::Person { name: "token".to_owned(), role: Role::Admin }
    }

    /// Returns the one who enrols a host with a code, and sees nothing.
    pub(crate) fn with_code() -> Self {
        Self::Code
    }

    /// Returns the name for the audit log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Person { name, .. } => name.clone(),
            Self::Host { name, .. } => format!("host {name}"),
            Self::Code => "code".to_owned(),
        }
    }

    /// Checks that it has a role.
    ///
    /// # Errors
    ///
    /// If it has a lower one, or is a host.
    pub(crate) fn needs(&self, role: Role) -> Result<(), Failure> {
        match self {
            Self::Person { role: has, .. } if *has >= role => Ok(()),
            _ => Err(Failure::new(StatusCode::FORBIDDEN, format!("this needs the role `{}`", role.as_str()))),
        }
    }

    /// Checks that it may report about a host: as the host itself, or as an admin.
    ///
    /// # Errors
    ///
    /// If it may not.
    pub(crate) fn reports(&self, host: &HostName) -> Result<(), Failure> {
        match self {
            Self::Host { name, .. } if name == host => Ok(()),
            Self::Host { .. } => {
                Err(Failure::new(StatusCode::FORBIDDEN, "this token is that of another host"))
            }
            Self::Person { .. } | Self::Code => self.needs(Role::Admin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_lower_ones() {
        let person = |role| Caller::Person { name: "p".to_owned(), role };
        let (a, b) = (HostName::new("a").unwrap(), HostName::new("b").unwrap());
        let host = Caller::Host { id: HostId(1), name: a.clone() };
        for (caller, needed, expected) in [
            (person(Role::View), Role::View, true),
            (person(Role::View), Role::Operate, false),
            (person(Role::Operate), Role::View, true),
            (person(Role::Operate), Role::Admin, false),
            (Caller::local(), Role::Admin, true),
            (host.clone(), Role::View, false),
        ] {
            assert_eq!(caller.needs(needed).is_ok(), expected, "{caller:?} {needed:?}");
        }
        assert!(host.reports(&a).is_ok() && host.reports(&b).is_err());
        assert!(Caller::local().reports(&b).is_ok() && person(Role::Operate).reports(&a).is_err());
    }
}
