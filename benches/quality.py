"""Measures the error and the time of each quality of compress, as shares of those of NORMAL: the figures of
OMEN_QUALITY_FAST and OMEN_QUALITY_BEST in the header and in docs/choosing.md.

    python3 benches/quality.py --omen target/release/omen sift100k.npy:l2 minilm50k.npy:inner_product
"""

import argparse
import json
import pathlib
import subprocess
import tempfile


def compress(omen, data, metric, ratio, quality, sample):
    with tempfile.TemporaryDirectory() as room:
        store = str(pathlib.Path(room) / "store")
        subprocess.run([omen, "import", store, data, "--metric", metric], check=True, capture_output=True)
        command = [omen, "--json", "compress", store, "--ratio", str(ratio), "--quality", quality, "--threads", "1"]
        command += ["--sample", str(sample)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--omen", default="target/release/omen", help="the command line")
    parser.add_argument("--ratios", type=float, nargs="+", default=[16, 8])
    parser.add_argument("--qualities", nargs="+", default=["normal", "fast", "best"])
    parser.add_argument("--sample", type=int, default=0, help="vectors to train on; 0: as many as compress does")
    parser.add_argument("data", nargs="+", help="FILE:METRIC")
    options = parser.parse_args()
    for data in options.data:
        path, metric = data.rsplit(":", 1)
        for ratio in options.ratios:
            normal = None
            for quality in options.qualities:
                report = compress(options.omen, path, metric, ratio, quality, options.sample)
                normal = normal or report
                error, seconds = (report[name] / normal[name] for name in ("relative_mse", "seconds"))
                print(f"{path} ratio {ratio:g} {quality}: relative MSE {report['relative_mse']:.5g} ({error - 1:+.1%}), "
                      f"{report['seconds']:.1f} s ({seconds:.2f} times)", flush=True)


if __name__ == "__main__":
    main()
