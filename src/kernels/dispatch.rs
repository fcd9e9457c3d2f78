//! The table of kernels: one declaration each, from which the macros make the dispatch table, its safe methods and the
//! functions compiled for every instruction set.
//!
//! To add a kernel, write its body as an `#[inline(always)]` function in the file of its subject, declare it in
//! `for_all_kernels`, and add it to the comparison in `tests/kernels/main.rs`, which fails until it is there.

use super::*;

/// Calls the macro `$define` with `$header` and the declaration of every kernel:
///
/// ```text
/// /// Documentation of the method.
/// visibility name(argument: Type, ...) -> Output = file::body;
/// visibility name(argument: Type, ...) -> Output = file::body, with helper(argument, ...);
/// ```
///
/// `body` gets the arguments. For each helper it also gets a closure that calls the `helper` of the file of the
/// instruction set, for the part that is written by hand for each.
macro_rules! for_all_kernels {
    ($define:ident, $header:tt) => {
        $define! {
            $header

            /// Position of the first NaN or infinity in `values: [n]`.
            pub first_not_finite(values: &[f32]) -> Option<usize> = distance::first_not_finite;

            /// Squared Euclidean distance of `a: [dim]` and `b: [dim]`.
            pub l2sq(a: &[f32], b: &[f32]) -> f32 = distance::l2sq;

            /// Inner product of `a: [dim]` and `b: [dim]`.
            pub dot(a: &[f32], b: &[f32]) -> f32 = distance::dot;

            /// Inner product of `query: [dim]` and `row: [dim]`, and of `row` with itself, in one pass.
            pub dot_and_norm(query: &[f32], row: &[f32]) -> (f32, f32) = distance::dot_and_norm;

            /// For each point of `columns: [subdim][n]` the nearest of 16 `codewords: [subdim][16]`: its index into
            /// `symbols: [n]` and its squared distance into `distances: [n]`. Ties go to the lower index. Values up to
            /// 1e15 cannot overflow.
            pub nearest_in_columns(columns: &[f32], codewords: &[f32], symbols: &mut [u8], distances: &mut [f32])
                = nearest::nearest_in_columns;

            /// Encodes `row: [dim]` as `symbols: [symbols]` whose codewords have a sum near it: an approximate search
            /// that keeps a limited number of paths. Values up to 1e15 cannot overflow.
            pub best_symbols(trellis: &Trellis<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8])
                = trellis::best_symbols, with extend(predecessors, survivors, slack, branches);

            /// Encodes `row: [dim]` as the `symbols: [symbols]` whose codewords have the sum nearest to it: an exact
            /// search, up to rounding. Values up to 1e15 cannot overflow.
            pub best_chain(chain: &Chain<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) = chain::best_chain;

            /// Encodes `row: [dim]` as `symbols: [symbols]` whose codewords have a sum near it: an approximate search
            /// that weighs what later symbols can correct. Values up to 1e15 cannot overflow.
            pub look_ahead(search: &LookAhead, row: &[f32], beam: &mut Beam, symbols: &mut [u8])
                = look_ahead::look_ahead, with extend_all(base, tables, now, costs),
                with keep_cheapest(costs, least, bound, levels, kept),
                with add_growth(step, now, next);

            /// [`Kernels::look_ahead`] with costs of 16 bits. Returns false, with `symbols` of no use, if costs do not fit,
            /// as for a row far from all codewords.
            pub step_search(search: &StepSearch, row: &[f32], beam: &mut StepBeam, symbols: &mut [u8]) -> bool
                = step_search::step_search, with extend_steps(base, tables, now, shared, costs),
                with keep_steps(costs, range, levels, kept),
                with grow_steps(step, now, next, farthest);

            /// Adds to each of `rows: [n][dim]` the codewords of its `symbols: [n][symbols]`.
            pub add_codewords(codewords: &Codewords<'_>, symbols: &[u8], rows: &mut [f32]) = sums::add_codewords;

            /// Adds `row: [dim]` to the sum of each of its `symbols: [windows]`; `sums` has the layout of codewords.
            pub add_to_codewords(windows: &[Window], symbols: &[u8], row: &[f32], sums: &mut [f32])
                = sums::add_to_codewords;

            /// Matrix product of `left: [n][depth]` and `matrix: [depth][width]` into `out: [n][width]`.
            pub matmul(left: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) = matrix::matmul;

            /// [`Kernels::matmul`] for a matrix of 8-bit integers.
            pub matmul_i8(left: &[f32], matrix: &[i8], width: usize, out: &mut [f32]) = matrix::matmul_i8;

            /// Scores the codes of `blocks: [n][block_bytes]`, whose rows are numbered from `first_row`, and appends to
            /// `hits` those with a score of at most `limit`. Stops before a block whose hits might exceed the capacity
            /// of `hits`; returns the number of blocks scored.
            pub scan(scan: &Scan<'_>, blocks: &[u8], first_row: u32, limit: u16, hits: &mut Vec<Hit>) -> usize
                = scan::scan, with score(codes, block, has_next, limit, scores);

            /// Inner products of `query: [dim]` with the 16 codewords of each of `windows`, into `products: [windows]`.
            /// The codewords are given as `columns`: `[width][16]` for each window.
            pub inner_products(windows: &[Window], columns: &[Lanes], query: &[f32], products: &mut [Lanes])
                = scan::inner_products;

            /// Decodes the scalar code `code` into `out: [dim]` with `dequantizers: [dim / 8, rounded up]`. `code` must
            /// be followed by [`CODE_PADDING`] bytes of any value, or dims near its end decode as number 0.
            pub dequantize(dequantizers: &[Dequantizer], code: &[u8], out: &mut [f32]) = dequantize::dequantize;
        }
    };
}

/// Defines `Kernels` and its safe methods.
macro_rules! define_table {
    (
        {}
        $(
            $(#[$doc:meta])*
            $visibility:vis $name:ident($($argument:ident: $type:ty),*) $(-> $output:ty)?
                = $file:ident::$body:ident $(, with $helper:ident($($passed:ident),*))*;
        )*
    ) => {
        /// The kernels compiled for one level. [`Level::kernels`] is the only way to get them outside this module, so
        /// they run only on a CPU that has the instructions.
        #[derive(Debug)]
        pub struct Kernels {
            pub(super) level: Level,
            $(pub(super) $name: unsafe fn($($type),*) $(-> $output)?,)*
        }

        impl Kernels {
            /// The names of all kernels.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            $(
                $(#[$doc])*
                $visibility fn $name(&self, $($argument: $type),*) $(-> $output)? {
                    // SAFETY: the pointer is to a safe function that requires nothing but the CPU features of `level`.
                    // `self` comes from `Level::kernels`, which tests the CPU for them, or is portable and needs none.
                    unsafe { (self.$name)($($argument),*) }
                }
            )*
        }
    };
}

for_all_kernels!(define_table, {});

/// Defines `KERNELS`: every body compiled as the level `$level` with the attribute `$attribute`.
macro_rules! compile_kernels {
    (
        { $level:expr, $attribute:meta }
        $(
            $(#[$doc:meta])*
            $visibility:vis $name:ident($($argument:ident: $type:ty),*) $(-> $output:ty)?
                = $file:ident::$body:ident $(, with $helper:ident($($passed:ident),*))*;
        )*
    ) => {
        /// The kernels of this level.
        pub(super) static KERNELS: super::Kernels = {
            use super::*;
            $(
                #[$attribute]
                fn $name($($argument: $type),*) $(-> $output)? {
                    $file::$body($($argument,)* $(|$($passed),*| $helper($($passed),*)),*)
                }
            )*
            Kernels { level: $level, $($name),* }
        };
    };
}

pub(super) use {compile_kernels, for_all_kernels};

impl Kernels {
    /// The instruction set these are compiled for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// See [`super::distance()`].
    pub fn distance(&self, metric: Metric, query: &[f32], query_norm_sq: f32, row: &[f32]) -> f32 {
        let distance = match metric {
            // A sum of squares: it may overflow to infinity, but is never NaN.
            Metric::L2 => self.l2sq(query, row),
            Metric::InnerProduct => {
                let dot = self.dot(query, row);
                if dot.is_finite() { -dot } else { -distance::dot_f64(query, row) as f32 }
            }
            Metric::Cosine => {
                let (dot, row_norm_sq) = self.dot_and_norm(query, row);
                if distance::is_accurate(query_norm_sq) && distance::is_accurate(row_norm_sq) {
                    1.0 - dot / (query_norm_sq.sqrt() * row_norm_sq.sqrt())
                } else {
                    distance::cosine_distance_f64(query, row)
                }
            }
        };
        metric.in_range(distance)
    }
}
