//! Enumerations that the messages carry as `int32`, with Milvus' numbers and names.
//!
//! The messages keep plain numbers, so that a value from a newer server is a number without a name
//! and not a decoding error.

use std::{fmt, str::FromStr};

/// Text that is not the name of any value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}; possible are {names}")]
pub struct UnknownName {
    text: String,
    kind: &'static str,
    names: String,
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident, $kind:literal {
        $($(#[$value_doc:meta])* $value:ident = $number:literal $text:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$value_doc])* $value = $number,)*
        }

        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// The number on the wire.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The value with this number; `None` for one that is not known here.
            pub fn from_number(number: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number() == number)
            }

            /// Milvus' name for it, as in REST bodies.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        /// Milvus' name in any case.
        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|value| value.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
                    UnknownName {
                        text: text.to_owned(),
                        kind: $kind,
                        names: Self::ALL.iter().map(|value| value.name()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}

numbered! {
    /// Type of a field, and of a placeholder for the dense vectors.
    DataType, "data type" {
        /// One bit of truth.
        Bool = 1 "Bool",
        /// 8-bit integer, carried in 32.
        Int8 = 2 "Int8",
        /// 16-bit integer, carried in 32.
        Int16 = 3 "Int16",
        /// 32-bit integer.
        Int32 = 4 "Int32",
        /// 64-bit integer.
        Int64 = 5 "Int64",
        /// 32-bit number.
        Float = 10 "Float",
        /// 64-bit number.
        Double = 11 "Double",
        /// Text of at most `max_length` bytes.
        VarChar = 21 "VarChar",
        /// Several values of one type.
        Array = 22 "Array",
        /// A JSON value; the dynamic fields of a row too, under `$meta`.
        Json = 23 "JSON",
        /// Vector of bits.
        BinaryVector = 100 "BinaryVector",
        /// Vector of 32-bit numbers.
        FloatVector = 101 "FloatVector",
        /// Vector of IEEE half-precision numbers.
        Float16Vector = 102 "Float16Vector",
        /// Vector of bfloat16 numbers.
        BFloat16Vector = 103 "BFloat16Vector",
        /// Vector of (index, value) pairs.
        SparseFloatVector = 104 "SparseFloatVector",
        /// Vector of 8-bit integers.
        Int8Vector = 105 "Int8Vector",
    }
}

impl DataType {
    /// Whether a field of this type can be searched.
    pub const fn is_vector(self) -> bool {
        self.number() >= Self::BinaryVector.number()
    }
}

numbered! {
    /// How fresh the rows must be that a search sees.
    ConsistencyLevel, "consistency level" {
        /// Everything written before the search.
        Strong = 0 "Strong",
        /// Everything that this client wrote before.
        Session = 1 "Session",
        /// All but the last moments (5 s on Milvus 2.3).
        Bounded = 2 "Bounded",
        /// Whatever the server has at hand.
        Eventually = 3 "Eventually",
        /// What the request's own timestamp says.
        Customized = 4 "Customized",
    }
}

numbered! {
    /// Whether a collection can be searched.
    LoadState, "load state" {
        /// There is no such collection.
        NotExist = 0 "LoadStateNotExist",
        /// It is not loaded, and loading was not asked for.
        NotLoad = 1 "LoadStateNotLoad",
        /// It is being loaded.
        Loading = 2 "LoadStateLoading",
        /// It can be searched.
        Loaded = 3 "LoadStateLoaded",
    }
}

numbered! {
    /// How far an index is.
    IndexState, "index state" {
        /// There is none.
        None = 0 "IndexStateNone",
        /// Asked for, not begun.
        Unissued = 1 "Unissued",
        /// Being built.
        InProgress = 2 "InProgress",
        /// Ready.
        Finished = 3 "Finished",
        /// Building failed; a reason stands beside it.
        Failed = 4 "Failed",
        /// Building failed and will be tried again.
        Retry = 5 "Retry",
    }
}

numbered! {
    /// State of one segment of a collection.
    SegmentState, "segment state" {
        /// Not known.
        None = 0 "SegmentStateNone",
        /// There is no such segment.
        NotExist = 1 "NotExist",
        /// Takes rows; searched without an index.
        Growing = 2 "Growing",
        /// Takes no more rows.
        Sealed = 3 "Sealed",
        /// On disk.
        Flushed = 4 "Flushed",
        /// On its way to the disk.
        Flushing = 5 "Flushing",
        /// Deleted or merged into another.
        Dropped = 6 "Dropped",
        /// Filled by a bulk import.
        Importing = 7 "Importing",
    }
}

numbered! {
    /// Language of a search's filter.
    DslType, "filter language" {
        /// The first, no longer served: with it, a Milvus 2.3.5 process dies.
        Dsl = 0 "Dsl",
        /// Filter expressions, and no filter at all.
        BoolExprV1 = 1 "BoolExprV1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_come_back() {
        for &kind in DataType::ALL {
            assert_eq!(DataType::from_number(kind.number()), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("bounded".parse(), Ok(ConsistencyLevel::Bounded));
        assert_eq!("LoadStateLoaded".parse(), Ok(LoadState::Loaded));
        assert_eq!(IndexState::from_number(99), None);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "weak".parse::<ConsistencyLevel>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`weak` is not a consistency level; possible are Strong, Session, Bounded, Eventually, Customized"
        );
    }

    #[test]
    fn vectors_are_the_types_from_100() {
        let vectors: Vec<_> = DataType::ALL.iter().filter(|kind| kind.is_vector()).collect();
        assert_eq!(vectors.len(), 6);
        assert!(!DataType::Json.is_vector());
    }
}
