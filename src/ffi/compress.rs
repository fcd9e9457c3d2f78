//! Compressing: options, progress and report of the one call.
#![expect(unsafe_code, reason = "exported names, pointers from C and the progress function")]

use super::choice::{choices, choose};
use super::constants::{
    OMEN_CODEC_AUTO, OMEN_LIMIT_ERROR, OMEN_LIMIT_RATIO, OMEN_QUALITY_BEST, OMEN_QUALITY_FAST, OMEN_QUALITY_NORMAL,
};
use super::fence::on_store;
use super::sized::{self, Report};
use super::types::{omen_compress_options, omen_compress_report, omen_store};
use super::work::on_progress;
use crate::codec::Quality;
use crate::error::Result;
use crate::store::{CompressOptions, CompressReport, Limit};
use crate::work::Work;

/// # COMPRESSING
///
/// Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
///
/// @param options  the struct to fill in
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_compress_options_init(options: *mut omen_compress_options) {
    if !options.is_null() {
        // SAFETY: not NULL; convention 2: the caller's pointer has room for one, at any address.
        unsafe { options.write_unaligned(omen_compress_options::DEFAULT) }
    }
}

/// Trains a codebook on the vectors, replaces every vector by its code, and frees the bytes of the originals. From then
/// on reading a vector decodes it. Vectors that are inserted later are kept exactly until the next compress.
///
/// @param store       an open store
/// @param options     may be NULL: the defaults
/// @param out_report  receives the report. Set its `struct_size` first
///
/// Threads: a long call. Readers and writers go on meanwhile.
///
/// Errors: OMEN_TOO_FEW_VECTORS, OMEN_CANCELLED, OMEN_NO_SPACE, OMEN_IS_READ_ONLY, OMEN_POISONED. After each of them
/// the store is as it was before the call.
///
/// Disk: everything is committed and compressed. After a crash during the call, the store is either as before or
/// compressed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_compress(
    store: *mut omen_store,
    options: *const omen_compress_options,
    out_report: *mut omen_compress_report,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: convention 5.
        let (given, out_report) = unsafe {
            (sized::options(options, omen_compress_options::DEFAULT)?, Report::new("out_report", out_report)?)
        };
        let quality = quality(&given)?;
        let omen_compress_options { ratio, max_relative_mse, sample, seed, threads, progress, user, .. } = given;
        let options = CompressOptions { ratio, max_relative_mse, sample, seed, quality, ..CompressOptions::default() };
        let mut on_progress = on_progress(progress, user);
        out_report.set(store.compress(&options, &mut Work::new(threads, Some(&mut on_progress)))?.into());
        Ok(())
    })
}

/// The quality that the options name. The codec is the library's choice.
fn quality(options: &omen_compress_options) -> Result<Quality> {
    choose("codec", options.codec, &choices! { OMEN_CODEC_AUTO => () })?;
    let known = choices! {
        OMEN_QUALITY_NORMAL => Quality::Normal,
        OMEN_QUALITY_FAST => Quality::Fast,
        OMEN_QUALITY_BEST => Quality::Best,
    };
    choose("quality", options.quality, &known)
}

impl From<CompressReport> for omen_compress_report {
    fn from(report: CompressReport) -> Self {
        Self {
            struct_size: size_of::<Self>() as u64,
            vectors: report.vectors,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            code_bytes: report.code_bytes,
            codebook_bytes: report.codebook_bytes,
            relative_mse: report.relative_mse,
            worst_relative_error: report.worst_relative_error,
            ratio: report.ratio,
            seconds: report.seconds,
            codec: report.codec,
            limit: match report.limit {
                Limit::Ratio => OMEN_LIMIT_RATIO,
                Limit::Error => OMEN_LIMIT_ERROR,
            },
            held_out_relative_mse: report.held_out_relative_mse,
        }
    }
}
