//! How the components of a vector are kept, and what that makes of 32-bit floats.

use std::ops::RangeInclusive;

use half::vec::HalfFloatVecExt;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::schema::FieldType;

/// How the components of a dense vector are kept. Datasets and queries are made of 32-bit floats and
/// converted last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorType {
    /// 32-bit floats.
    #[default]
    Float32,
    /// IEEE half precision: 16 bits, 11 of them significant, at most 65,504.
    Float16,
    /// The upper half of a 32-bit float: 16 bits, 8 of them significant.
    BFloat16,
    /// One bit a component: whether it is above 0.
    Binary,
}

/// A dimension that Milvus does not take for vectors of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DimensionError {
    /// It is too small or too large.
    #[error(
        "dimension {dimension} is not possible for {vector_type} vectors; Milvus takes {} to {}",
        vector_type.dimensions().start(),
        vector_type.dimensions().end()
    )]
    Range {
        /// The type.
        vector_type: VectorType,
        /// The dimension.
        dimension: u32,
    },
    /// Bits come in bytes.
    #[error("dimension {0} is not possible for binary vectors; Milvus takes multiples of 8")]
    NotWholeBytes(u32),
}

impl VectorType {
    /// Every type.
    pub const ALL: [VectorType; 4] =
        [VectorType::Float32, VectorType::Float16, VectorType::BFloat16, VectorType::Binary];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            VectorType::Float32 => "float32",
            VectorType::Float16 => "float16",
            VectorType::BFloat16 => "bfloat16",
            VectorType::Binary => "binary",
        }
    }

    /// The dimensions that Milvus takes; of binary vectors only multiples of 8.
    pub fn dimensions(self) -> RangeInclusive<u32> {
        match self {
            VectorType::Float32 | VectorType::Float16 | VectorType::BFloat16 => 2..=32_768,
            VectorType::Binary => 8..=262_144,
        }
    }

    /// Whether Milvus takes vectors of this type and dimension.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_dimension(self, dimension: u32) -> Result<(), DimensionError> {
        if !self.dimensions().contains(&dimension) {
            Err(DimensionError::Range { vector_type: self, dimension })
        } else if self == VectorType::Binary && !dimension.is_multiple_of(8) {
            Err(DimensionError::NotWholeBytes(dimension))
        } else {
            Ok(())
        }
    }

    /// Bytes that a vector of `dimension` components takes, on the wire and in Milvus' memory.
    pub fn bytes(self, dimension: u32) -> usize {
        let dimension = dimension as usize;
        match self {
            VectorType::Float32 => dimension * 4,
            VectorType::Float16 | VectorType::BFloat16 => dimension * 2,
            VectorType::Binary => dimension.div_ceil(8),
        }
    }

    /// The field type of vectors of `dimension` components.
    pub fn field_type(self, dimension: u32) -> FieldType {
        match self {
            VectorType::Float32 => FieldType::FloatVector { dimension },
            VectorType::Float16 => FieldType::Float16Vector { dimension },
            VectorType::BFloat16 => FieldType::BFloat16Vector { dimension },
            VectorType::Binary => FieldType::BinaryVector { dimension },
        }
    }

    /// Appends components as Milvus carries them: little-endian numbers, rounded to nearest even, or
    /// bits with the first component in the highest bit of a byte. Bits take whole bytes, so of
    /// several binary vectors at once the dimension must be a multiple of 8.
    pub fn encode(self, components: &[f32], out: &mut Vec<u8>) {
        match self {
            VectorType::Float32 => out.extend(components.iter().flat_map(|x| x.to_le_bytes())),
            VectorType::Float16 => {
                let halves = Vec::<f16>::from_f32_slice(components);
                out.extend(halves.into_iter().flat_map(f16::to_le_bytes));
            }
            VectorType::BFloat16 => {
                let halves = Vec::<bf16>::from_f32_slice(components);
                out.extend(halves.into_iter().flat_map(bf16::to_le_bytes));
            }
            VectorType::Binary => out.extend(components.chunks(8).map(|bits| {
                bits.iter().enumerate().fold(0_u8, |byte, (i, x)| byte | (u8::from(*x > 0.0) << (7 - i)))
            })),
        }
    }

    /// Makes of components what the server holds of them: numbers of this precision, bits as 0 and 1.
    /// The squared Euclidean distance of bits is then their Hamming distance.
    pub fn round(self, components: &mut [f32]) {
        match self {
            VectorType::Float32 => {}
            VectorType::Float16 => components.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32()),
            VectorType::BFloat16 => components.iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32()),
            VectorType::Binary => {
                components.iter_mut().for_each(|x| *x = if *x > 0.0 { 1.0 } else { 0.0 });
            }
        }
    }
}

impl std::fmt::Display for VectorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for VectorType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            format!("`{text}` is not a type of vectors; use float32, float16, bfloat16 or binary")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dimensions_are_those_that_milvus_takes() {
        let message = |vector_type: VectorType, dimension| {
            vector_type.check_dimension(dimension).err().map(|error| error.to_string())
        };
        for vector_type in [VectorType::Float32, VectorType::Float16, VectorType::BFloat16] {
            assert_eq!(message(vector_type, 2).or(message(vector_type, 32_768)), None);
            assert!(message(vector_type, 1).unwrap().contains("2 to 32768"));
            assert!(message(vector_type, 32_769).unwrap().contains(vector_type.name()));
        }
        assert_eq!(message(VectorType::Binary, 262_144), None);
        assert!(message(VectorType::Binary, 262_152).unwrap().contains("8 to 262144"));
        assert!(message(VectorType::Binary, 12).unwrap().contains("multiples of 8"));
    }

    #[test]
    fn bytes_are_laid_out_as_milvus_reads_them() {
        let encoded = |vector_type: VectorType, components: &[f32]| {
            let mut out = Vec::new();
            vector_type.encode(components, &mut out);
            out
        };
        assert_eq!(encoded(VectorType::Float32, &[1.0, -2.0]), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!(encoded(VectorType::Float16, &[1.0, -2.0]), [0, 0x3c, 0, 0xc0]);
        assert_eq!(encoded(VectorType::BFloat16, &[1.0, -2.0]), [0x80, 0x3f, 0, 0xc0]);
        let bits = [0.5, -1.0, 0.0, 2.0, -0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(encoded(VectorType::Binary, &bits), [0b1001_0001, 0b1000_0000]);
    }

    proptest! {
        #[test]
        fn what_is_rounded_encodes_as_what_was_not(components in prop::collection::vec(-9.0_f32..9.0, 8..64)) {
            for vector_type in VectorType::ALL {
                let (mut plain, mut rounded) = (Vec::new(), Vec::new());
                vector_type.encode(&components, &mut plain);
                let mut held = components.clone();
                vector_type.round(&mut held);
                vector_type.encode(&held, &mut rounded);
                prop_assert_eq!(&plain, &rounded);
                prop_assert_eq!(plain.len(), vector_type.bytes(components.len() as u32));
            }
        }
    }
}
