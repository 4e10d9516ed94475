import os

from tests.launch import commands
from tests.reporting import runs


def test_the_page_of_a_run_lies_in_its_folder_and_the_last_line_says_what_is_next(tmp_path):
    workdir = runs.write(tmp_path / "run", "going")
    done = commands.run("report", f"--workdir={workdir}")
    assert done.stdout.strip() == os.path.join(workdir, "report.html")
    assert os.path.getsize(done.stdout.strip()) > 10_000
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Open {workdir}/report.html. Next: ") and f"launch.export --workdir={workdir}" in last


def test_a_trained_run_names_its_page_its_model_and_the_comparison_that_is_missing(tmp_path):
    from launch.train import next_steps

    workdir = tmp_path / "gsda" / "seed0"
    summary = {"workdir": str(workdir), "method": "gsda", "export_dir": None, "accuracy/source": 0.9}
    offer, last = next_steps(summary)
    assert f"--method=source_only --workdir={tmp_path}/source_only/seed0" in offer
    assert next_steps({**summary, "accuracy/source": None}) == [last]  # a run without a source
    made, after = last.split(" Next: ")
    assert made == f"launch.report --workdir={workdir} makes its page."
    assert after == f"launch.export --workdir={workdir} writes the model."
    runs.write(workdir)
    (workdir / "report.html").touch()
    runs.write(tmp_path / "source_only" / "seed0", "labelled source_only")
    (last,) = next_steps({**summary, "export_dir": str(workdir / "export" / "1")})
    assert last.startswith(f"Open {workdir}/report.html. Next: launch.predict --model={workdir}/export --images=DIR")
