// libomen in one page of JavaScript: open, insert, commit, get, search, compress, reopen, verify, delete. It prints
// examples/expected.txt. After make install:
//     npm install && node quickstart.js /tmp/quickstart.omen
'use strict';
const koffi = require('koffi');

const DIM = 8, N = 10000, K = 3, OK = 0;
// The ABI version of the omen.h that the declarations below were copied from. libomen.so is loaded by name, so its version
// must be checked.
const ABI_VERSION = 1;

// Copied from omen.h: structs and functions.
koffi.opaque('omen_store');
koffi.struct('omen_compress_options', {
  struct_size: 'uint64_t', ratio: 'double', sample: 'uint64_t', seed: 'uint64_t', codec: 'int32_t', threads: 'uint32_t',
  progress: 'void *', user: 'void *', quality: 'int32_t', reserved: 'int32_t', max_relative_mse: 'double',
});
const CompressReport = koffi.struct('omen_compress_report', {
  struct_size: 'uint64_t', vectors: 'uint64_t', bytes_before: 'uint64_t', bytes_after: 'uint64_t', code_bytes: 'uint64_t',
  codebook_bytes: 'uint64_t', relative_mse: 'double', worst_relative_error: 'double', ratio: 'double', seconds: 'double',
  codec: 'int32_t', limit: 'int32_t', held_out_relative_mse: 'double',
});
const VerifyReport = koffi.struct('omen_verify_report', {
  struct_size: 'uint64_t', files: 'uint64_t', blocks: 'uint64_t', bytes: 'uint64_t', vectors: 'uint64_t',
});
const lib = koffi.load('libomen.so');
const abi = lib.func('uint32_t omen_abi_version()')(), version = lib.func('const char *omen_version()')();
if (abi !== ABI_VERSION) throw new Error(`libomen ${version} has ABI version ${abi}, expected ${ABI_VERSION}`);
const omen_status_name = lib.func('const char *omen_status_name(int32_t status)');
const omen_last_message = lib.func('const char *omen_last_message()');
const omen_store_open = lib.func('int32_t omen_store_open(const char *path, uint32_t dim, void *options, _Out_ omen_store **out)');
const omen_store_close = lib.func('int32_t omen_store_close(omen_store *store)');
const omen_store_insert = lib.func(
  'int32_t omen_store_insert(omen_store *store, uint64_t *ids, float *vectors, size_t n, _Out_ uint64_t *out_first_id)');
const omen_store_commit = lib.func('int32_t omen_store_commit(omen_store *store)');
const omen_store_get = lib.func(
  'int32_t omen_store_get(omen_store *store, uint64_t *ids, size_t n, float *out_vectors, uint8_t *out_found)');
const omen_store_search = lib.func('int32_t omen_store_search(omen_store *store, float *queries, size_t nq, size_t k, ' +
  'void *options, uint64_t *out_ids, float *out_distances)');
const omen_compress_options_init = lib.func('void omen_compress_options_init(_Out_ omen_compress_options *options)');
const omen_store_compress = lib.func('int32_t omen_store_compress(omen_store *store, omen_compress_options *options, ' +
  '_Inout_ omen_compress_report *out_report)');
const omen_store_verify = lib.func(
  'int32_t omen_store_verify(omen_store *store, void *options, _Inout_ omen_verify_report *out_report)');
const omen_store_delete = lib.func(
  'int32_t omen_store_delete(omen_store *store, uint64_t *ids, size_t n, _Out_ uint64_t *out_deleted)');

// Each call returns a status. The last message has the details.
function must(status, what) {
  if (status !== OK) throw new Error(`${what}: ${omen_status_name(status)}: ${omen_last_message()}`);
}

function open(path, dim) {
  const out = [null];
  must(omen_store_open(path, dim, null, out), 'open');
  return out[0];
}

// An empty report: only its struct_size matters before the call.
function emptyReport(type) {
  const members = Object.keys(type.members).map((name) => [name, 0]);
  return { ...Object.fromEntries(members), struct_size: koffi.sizeof(type) };
}

function printNearest(store, query) {
  const ids = new BigUint64Array(K), distances = new Float32Array(K);
  must(omen_store_search(store, query, 1, K, null, ids, distances), 'search');
  console.log('nearest:' + Array.from(ids, (id, i) => ` ${id} at ${distances[i].toFixed(0)}`).join(''));
}

const path = process.argv[2] ?? 'quickstart.omen';
const vectors = new Float32Array(N * DIM);
for (let i = 0; i < N; i++) {
  for (let j = 0; j < DIM; j++) vectors[i * DIM + j] = (i + 1) * (i + j * j * 997) % 10007 % 100;
}

let store = open(path, DIM);
const out = [0];
must(omen_store_insert(store, null, vectors, N, out), 'insert'); // ids first, first + 1, ...
const first = out[0];
must(omen_store_commit(store), 'commit'); // survives a crash from here on
console.log(`${N} vectors of ${DIM} floats, ids ${first} to ${first + N - 1}`);

const id = BigUint64Array.of(BigInt(first + 42));
const vector = new Float32Array(DIM);
must(omen_store_get(store, id, 1, vector, null), 'get');
console.log(`vector ${id[0]}: ${vector.join(' ')}`);
printNearest(store, vector);

const options = {};
omen_compress_options_init(options);
options.ratio = 4; // a quarter of the bytes, all files counted
const compressed = emptyReport(CompressReport);
must(omen_store_compress(store, options, compressed), 'compress');
console.log(`${vectors.byteLength} bytes as floats, ${compressed.bytes_after} compressed, ` +
  `relative error ${compressed.relative_mse.toFixed(6)}`);
must(omen_store_close(store), 'close'); // commits too

store = open(path, 0); // 0: the dim of the store
const verified = emptyReport(VerifyReport);
must(omen_store_verify(store, null, verified), 'verify');
console.log(`reopened and verified: ${verified.vectors} vectors`);
printNearest(store, vector); // searches the codes

must(omen_store_delete(store, id, 1, out), 'delete');
const status = omen_store_get(store, id, 1, vector, null); // an error, as expected: nothing is written to vector
console.log(`deleted ${out[0]}, and get says ${omen_status_name(status)}`);
must(omen_store_close(store), 'close');
