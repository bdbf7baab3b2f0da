//! The server's error codes, and what they mean to a caller.
//!
//! Milvus answers application errors inside a successful gRPC call. [`Status::check`] turns one
//! into a `Result`: success is `code == 0 && error_code == 0`; otherwise `code` decides, and where
//! it is 0 the deprecated `error_code` is translated. `retriable` is ignored, because servers leave
//! it false even when they limit the rate.

use std::fmt;

use crate::milvus::Status;

/// A server's error code; any number is possible, the constants are those with a name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerCode(pub i32);

macro_rules! server_codes {
    ($($constant:ident = $number:literal, $words:literal;)*) => {
        impl ServerCode {
            $(#[doc = concat!($words, ".")] pub const $constant: Self = Self($number);)*

            /// What the code means in a few words; `None` for a code without a name here.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($words),)*
                    _ => None,
                }
            }
        }
    };
}

server_codes! {
    OK = 0, "success";
    NOT_READY = 1, "the server is not ready";
    UNAVAILABLE = 2, "the server is unavailable";
    MEMORY_LIMIT = 3, "memory limit exceeded";
    TOO_MANY_REQUESTS = 4, "too many requests at once";
    INTERNAL = 5, "internal error";
    BAD_REQUEST_LITE = 6, "bad request (Milvus Lite)";
    DISK_LIMIT = 7, "disk limit exceeded";
    RATE_LIMIT = 8, "rate limit exceeded";
    QUOTA_EXCEEDED = 9, "quota exceeded";
    UNIMPLEMENTED = 10, "not implemented by this server";
    TIME_TICK_DELAY = 11, "time tick delay too long";
    INDEX_EXISTS_LITE = 35, "index already exists (Milvus Lite)";
    COLLECTION_NOT_FOUND = 100, "collection not found";
    COLLECTION_NOT_LOADED = 101, "collection not loaded";
    COLLECTION_LIMIT = 102, "too many collections";
    COLLECTION_NOT_FULLY_LOADED = 103, "collection not fully loaded";
    PARTITION_NOT_FOUND = 200, "partition not found";
    PARTITION_NOT_LOADED = 201, "partition not loaded";
    PARTITION_NOT_FULLY_LOADED = 202, "partition not fully loaded";
    CHANNEL_NOT_AVAILABLE = 503, "channel not available";
    INDEX_NOT_FOUND = 700, "index not found";
    INDEX_DUPLICATE = 702, "index already exists with other parameters";
    DATABASE_NOT_FOUND = 800, "database not found";
    DATABASE_INVALID_NAME = 802, "invalid database name";
    PARAMETER_INVALID = 1100, "invalid parameter";
    PARAMETER_MISSING = 1101, "missing parameter";
    NOT_AUTHENTICATED = 1400, "not authenticated";
    PRIVILEGE_NOT_PERMITTED = 1401, "not permitted for this user";
    ALIAS_NOT_FOUND = 1600, "alias not found";
    ALIAS_NAME_TAKEN = 1601, "alias and collection have the same name";
    ALIAS_EXISTS = 1602, "alias already exists";
    REST_UNAUTHENTICATED = 1800, "missing or wrong token";
    REST_BAD_JSON = 1801, "the body is not the expected JSON";
    REST_MISSING_PARAMETER = 1802, "a required parameter is missing";
    REST_INVALID_COLLECTION = 1803, "invalid collection name";
    REST_BAD_INSERT_DATA = 1804, "the rows do not fit the collection";
    REST_BAD_RESULT = 1805, "the result could not be formatted";
    REST_RATE_LIMIT = 1807, "rate limit exceeded";
    UNEXPECTED = 65535, "unexpected error";
}

impl ServerCode {
    /// The server refuses for now because of its rate: try later.
    pub fn is_rate_limit(self) -> bool {
        matches!(self, Self::RATE_LIMIT | Self::REST_RATE_LIMIT | Self::TOO_MANY_REQUESTS)
    }

    /// The server refuses to take more: a rate limit, or a quota of memory, disk or writes.
    pub fn is_rejection(self) -> bool {
        self.is_rate_limit()
            || matches!(
                self,
                Self::QUOTA_EXCEEDED | Self::MEMORY_LIMIT | Self::DISK_LIMIT | Self::TIME_TICK_DELAY
            )
    }

    /// A collection, partition, index, database or alias does not exist.
    pub fn is_not_found(self) -> bool {
        matches!(
            self,
            Self::COLLECTION_NOT_FOUND
                | Self::PARTITION_NOT_FOUND
                | Self::INDEX_NOT_FOUND
                | Self::DATABASE_NOT_FOUND
                | Self::ALIAS_NOT_FOUND
        )
    }

    /// The collection or partition exists but is not, or not fully, loaded.
    pub fn is_not_loaded(self) -> bool {
        matches!(
            self,
            Self::COLLECTION_NOT_LOADED
                | Self::COLLECTION_NOT_FULLY_LOADED
                | Self::PARTITION_NOT_LOADED
                | Self::PARTITION_NOT_FULLY_LOADED
        )
    }

    /// No token, a wrong one, or one without the privilege. Over gRPC this is the call's own status
    /// `UNAUTHENTICATED` instead.
    pub fn is_unauthenticated(self) -> bool {
        matches!(self, Self::NOT_AUTHENTICATED | Self::PRIVILEGE_NOT_PERMITTED | Self::REST_UNAUTHENTICATED)
    }

    /// The request itself is at fault: asking again will not help.
    pub fn is_bad_request(self) -> bool {
        matches!(
            self,
            Self::BAD_REQUEST_LITE
                | Self::PARAMETER_INVALID
                | Self::PARAMETER_MISSING
                | Self::REST_BAD_JSON
                | Self::REST_MISSING_PARAMETER
                | Self::REST_INVALID_COLLECTION
                | Self::REST_BAD_INSERT_DATA
        )
    }

    /// The deprecated `error_code` that Milvus 2.3.5 sends beside this code; 1 (unexpected) for
    /// those that it has no own number for.
    pub fn legacy(self) -> i32 {
        match self {
            Self::OK => 0,
            Self::RATE_LIMIT => legacy::RATE_LIMIT,
            Self::QUOTA_EXCEEDED => legacy::FORCE_DENY,
            Self::MEMORY_LIMIT => legacy::MEMORY_QUOTA_EXHAUSTED,
            Self::DISK_LIMIT => legacy::DISK_QUOTA_EXHAUSTED,
            Self::TIME_TICK_DELAY => legacy::TIME_TICK_LONG_DELAY,
            Self::COLLECTION_NOT_FOUND => legacy::COLLECTION_NOT_EXISTS,
            Self::INDEX_NOT_FOUND => legacy::INDEX_NOT_EXIST,
            Self::PARAMETER_INVALID => legacy::ILLEGAL_ARGUMENT,
            Self::PARTITION_NOT_FOUND => legacy::META_FAILED,
            _ => legacy::UNEXPECTED_ERROR,
        }
    }

    /// The code that a deprecated `error_code` stands for. `reason` tells apart what shares number 1.
    fn from_legacy(error_code: i32, reason: &str) -> Self {
        match error_code {
            0 => Self::OK,
            legacy::UNEXPECTED_ERROR if reason.contains("can't find collection") => {
                Self::COLLECTION_NOT_FOUND
            }
            legacy::COLLECTION_NOT_EXISTS | legacy::COLLECTION_NAME_NOT_FOUND => Self::COLLECTION_NOT_FOUND,
            legacy::PERMISSION_DENIED => Self::PRIVILEGE_NOT_PERMITTED,
            legacy::ILLEGAL_ARGUMENT..=legacy::ILLEGAL_VECTOR_ID
            | legacy::ILLEGAL_NLIST
            | legacy::ILLEGAL_METRIC_TYPE => Self::PARAMETER_INVALID,
            legacy::INDEX_NOT_EXIST => Self::INDEX_NOT_FOUND,
            legacy::FORCE_DENY => Self::QUOTA_EXCEEDED,
            legacy::RATE_LIMIT => Self::RATE_LIMIT,
            legacy::OUT_OF_MEMORY | legacy::INSUFFICIENT_MEMORY_TO_LOAD | legacy::MEMORY_QUOTA_EXHAUSTED => {
                Self::MEMORY_LIMIT
            }
            legacy::DISK_QUOTA_EXHAUSTED => Self::DISK_LIMIT,
            legacy::TIME_TICK_LONG_DELAY => Self::TIME_TICK_DELAY,
            legacy::NOT_READY_SERVE | legacy::NOT_READY_COORD_ACTIVATING => Self::NOT_READY,
            _ => Self::UNEXPECTED,
        }
    }
}

impl fmt::Display for ServerCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "code {} ({name})", self.0),
            None => write!(f, "code {}", self.0),
        }
    }
}

/// Numbers of the deprecated `ErrorCode` enumeration of Milvus' common.proto.
mod legacy {
    pub(super) const UNEXPECTED_ERROR: i32 = 1;
    pub(super) const PERMISSION_DENIED: i32 = 3;
    pub(super) const COLLECTION_NOT_EXISTS: i32 = 4;
    pub(super) const ILLEGAL_ARGUMENT: i32 = 5;
    pub(super) const ILLEGAL_VECTOR_ID: i32 = 12;
    pub(super) const META_FAILED: i32 = 15;
    pub(super) const ILLEGAL_NLIST: i32 = 22;
    pub(super) const ILLEGAL_METRIC_TYPE: i32 = 23;
    pub(super) const OUT_OF_MEMORY: i32 = 24;
    pub(super) const INDEX_NOT_EXIST: i32 = 25;
    pub(super) const COLLECTION_NAME_NOT_FOUND: i32 = 28;
    pub(super) const FORCE_DENY: i32 = 48;
    pub(super) const RATE_LIMIT: i32 = 49;
    pub(super) const INSUFFICIENT_MEMORY_TO_LOAD: i32 = 52;
    pub(super) const MEMORY_QUOTA_EXHAUSTED: i32 = 53;
    pub(super) const DISK_QUOTA_EXHAUSTED: i32 = 54;
    pub(super) const TIME_TICK_LONG_DELAY: i32 = 55;
    pub(super) const NOT_READY_SERVE: i32 = 56;
    pub(super) const NOT_READY_COORD_ACTIVATING: i32 = 57;
}

/// What the server said instead of doing it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {code}: {reason}")]
pub struct ServerError {
    /// Its code.
    pub code: ServerCode,
    /// Its words.
    pub reason: String,
}

impl ServerError {
    /// An error with a code and words.
    pub fn new(code: ServerCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl Status {
    /// The code, `OK` for a success; where the server filled just the deprecated `error_code`, its
    /// meaning.
    pub fn server_code(&self) -> ServerCode {
        if self.code == 0 {
            ServerCode::from_legacy(self.error_code, &self.reason)
        } else {
            ServerCode(self.code)
        }
    }

    /// `Ok` when the call succeeded, whatever `reason` says.
    ///
    /// # Errors
    /// The server's code and words.
    pub fn check(&self) -> Result<(), ServerError> {
        match self.server_code() {
            ServerCode::OK => Ok(()),
            code => {
                let reason = if self.reason.is_empty() { &self.detail } else { &self.reason };
                Err(ServerError::new(code, reason.clone()))
            }
        }
    }
}

/// As a server puts it on the wire: both codes, the words as reason and detail.
impl From<ServerError> for Status {
    fn from(error: ServerError) -> Self {
        Self {
            error_code: error.code.legacy(),
            code: error.code.0,
            detail: error.reason.clone(),
            reason: error.reason,
            ..Self::default()
        }
    }
}

/// A response's status as a result; a missing one is a success, as an empty body is.
///
/// # Errors
/// The server's code and words.
pub fn check(status: Option<&Status>) -> Result<(), ServerError> {
    status.map_or(Ok(()), Status::check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(code: i32, error_code: i32, reason: &str) -> ServerCode {
        Status { code, error_code, reason: reason.to_owned(), ..Status::default() }.server_code()
    }

    #[test]
    fn a_success_with_a_reason_is_a_success() {
        let status = Status { reason: "search result is empty".to_owned(), ..Status::default() };
        assert_eq!(status.check(), Ok(()));
        assert_eq!(check(None), Ok(()));
    }

    #[test]
    fn the_code_wins_over_the_legacy_one() {
        // Milvus 2.3.5 on DescribeCollection, then Milvus Lite, whose legacy numbers are not Milvus'.
        assert_eq!(code_of(100, 1, "can't find collection"), ServerCode::COLLECTION_NOT_FOUND);
        assert_eq!(code_of(200, 200, "partition"), ServerCode::PARTITION_NOT_FOUND);
        assert!(code_of(8, 49, "request is rejected").is_rate_limit());
    }

    #[test]
    fn a_lone_legacy_code_is_translated() {
        assert_eq!(code_of(0, 1, "can't find collection nope"), ServerCode::COLLECTION_NOT_FOUND);
        assert_eq!(code_of(0, 4, ""), ServerCode::COLLECTION_NOT_FOUND);
        assert_eq!(code_of(0, 49, ""), ServerCode::RATE_LIMIT);
        assert_eq!(code_of(0, 25, ""), ServerCode::INDEX_NOT_FOUND);
        assert_eq!(code_of(0, 48, ""), ServerCode::QUOTA_EXCEEDED);
        assert_eq!(code_of(0, 1, "boom"), ServerCode::UNEXPECTED);
    }

    #[test]
    fn an_error_survives_the_wire() {
        let error = ServerError::new(ServerCode::RATE_LIMIT, "rate limit exceeded[rate=5]");
        let status = Status::from(error.clone());
        assert_eq!((status.code, status.error_code), (8, 49));
        assert_eq!(status.check(), Err(error));
    }

    #[test]
    fn an_unknown_code_is_shown_as_its_number() {
        let error = ServerError::new(ServerCode(4711), "odd");
        assert_eq!(error.to_string(), "the server answered code 4711: odd");
    }
}
