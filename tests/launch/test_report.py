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


def test_a_trained_run_names_its_page_and_its_model(tmp_path):
    from launch.train import next_step

    summary = {"workdir": str(tmp_path), "export_dir": None}
    made, after = next_step(summary).split(" Next: ")
    assert made == f"launch.report --workdir={tmp_path} makes its page."
    assert after == f"launch.export --workdir={tmp_path} writes the model."
    (tmp_path / "report.html").touch()
    told = next_step({**summary, "export_dir": str(tmp_path / "export" / "1")})
    assert told.startswith(f"Open {tmp_path}/report.html. Next: launch.predict --model={tmp_path}/export --images=DIR")
