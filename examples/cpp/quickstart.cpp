// libomen in one page of C++17: open, insert, commit, get, search, compress, reopen, verify, delete. It prints
// examples/expected.txt.
//     c++ -std=c++17 quickstart.cpp -I../../include -I../../bindings/cpp -L../../target/release -lomen -o quickstart
//     LD_LIBRARY_PATH=../../target/release ./quickstart /tmp/quickstart.omen
#include <omen.hpp>

#include <cmath>
#include <iostream>

static const int DIM = 8, N = 10000, K = 3;

static void print_nearest(const omen::Store &store, omen::Vectors query) {
    const omen::Neighbours near = store.search(query, K);
    std::cout << "nearest:";
    for (int i = 0; i < K; i++) std::cout << " " << near.ids[i] << " at " << std::lround(near.distances[i]);
    std::cout << "\n";
}

static void tell(const std::string &path) {
    std::vector<float> vectors;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < DIM; j++) vectors.push_back(static_cast<float>((i + 1) * (i + j * j * 997) % 10007 % 100));

    omen::Store store(path, DIM);
    const std::uint64_t first = store.insert(vectors); // ids first, first + 1, ...
    store.commit();                                    // survives a crash from here on
    std::cout << N << " vectors of " << DIM << " floats, ids " << first << " to " << first + N - 1 << "\n";

    const std::uint64_t id = first + 42;
    const std::vector<float> vector = store.get({id});
    std::cout << "vector " << id << ":";
    for (float component : vector) std::cout << " " << component;
    std::cout << "\n";
    print_nearest(store, vector);

    omen::CompressOptions options;
    options.ratio = 4; // a quarter of the bytes, all files counted
    const omen_compress_report compressed = store.compress(options);
    std::cout << vectors.size() * sizeof(float) << " bytes as floats, " << compressed.bytes_after
              << " compressed, relative error " << std::fixed << compressed.relative_mse << "\n";
    store.close(); // commits too, and reports failures; the destructor cannot

    store = omen::Store(path); // the dim is that of the store
    std::cout << "reopened and verified: " << store.verify().vectors << " vectors\n";
    print_nearest(store, vector); // searches the codes

    const std::uint64_t deleted = store.erase({id});
    try {
        store.get({id});
    } catch (const omen::Error &error) { // as expected
        std::cout << "deleted " << deleted << ", and get says " << error.name() << "\n";
    }
}

int main(int argc, char **argv) {
    try {
        tell(argc > 1 ? argv[1] : "quickstart.omen");
    } catch (const omen::Error &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
