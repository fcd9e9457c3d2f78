//! Distance metrics: their numbers in files and in the C ABI, and their one name everywhere.

use std::fmt;
use std::str::FromStr;

/// Distance metric. Smaller distances are nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Metric {
    /// Squared Euclidean distance.
    L2 = 0,
    /// Negated inner product.
    InnerProduct = 1,
    /// One minus the cosine of the angle; 1 if either vector is zero.
    Cosine = 2,
}

impl Metric {
    /// Every metric, in the order of their numbers.
    pub const ALL: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

    /// The metric with this number in a file or in the C ABI.
    pub fn from_i32(number: i32) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| *metric as i32 == number)
    }

    /// `distance`, computed with rounding, moved into the range of the metric: from 0 for `l2`, from 0 to 2 for `cosine`.
    /// -0.0 becomes 0.0, so that equal distances tie under `total_cmp`.
    #[inline]
    pub fn in_range(self, distance: f32) -> f32 {
        // A NaN stays one.
        let (least, most) = match self {
            Metric::L2 => (0.0, f32::INFINITY),
            Metric::InnerProduct => (f32::NEG_INFINITY, f32::INFINITY),
            Metric::Cosine => (0.0, 2.0),
        };
        distance.clamp(least, most) + 0.0
    }

    /// The name in messages, options and bindings.
    pub fn name(self) -> &'static str {
        match self {
            Metric::L2 => "l2",
            Metric::InnerProduct => "inner_product",
            Metric::Cosine => "cosine",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    /// Parses a name; `ip` is accepted for `inner_product`.
    fn from_str(name: &str) -> Result<Metric, String> {
        let found = Metric::ALL.into_iter().find(|metric| metric.name() == name);
        found.or((name == "ip").then_some(Metric::InnerProduct)).ok_or_else(|| {
            let names = Metric::ALL.map(Metric::name).join(", ");
            format!("metric {name:?}: expected one of {names}")
        })
    }
}
