"""The examples that are not adapters, run as their READMEs say."""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.acceptance.examples.checkout import EXAMPLES, ROOT, Checkout
from tests.acceptance.manager.callback_receiver import Receiver
from workmanager.client import Client, JobFailed
from workmanager.executor import JobExecutor

pytestmark = pytest.mark.timeout(120)


def test_thumbnails_of_a_folder(checkout: Checkout, client: Client, tmp_path: Path) -> None:
    pictures, output = tmp_path / "pictures", tmp_path / "thumbnails"
    (pictures / "holidays").mkdir(parents=True)
    Image.new("RGB", (640, 320), "red").save(pictures / "wide.png")
    Image.new("L", (10, 500)).save(pictures / "holidays/tall.jpg")
    (pictures / "holidays/again.JPG").write_bytes((pictures / "holidays/tall.jpg").read_bytes())
    (pictures / "broken.gif").write_text("no image")
    (pictures / "huge.webp").write_bytes(os.urandom(2_000_000))
    (pictures / "notes.txt").write_text("not looked at")
    with checkout.read("thumbnails") as reader:
        text = reader.block("make_thumbnails.py").strip()
        text = text.replace("~/Pictures", str(pictures)).replace("/tmp/thumbnails", str(output))
        first, again = (reader.run(f"{text} 2>&1 || [ $? = 1 ]") for _ in range(2))
    for name, size in {"wide.png": (128, 64), "holidays/tall.png": (3, 128), "holidays/again.png": (3, 128)}.items():
        with Image.open(output / name) as image:
            assert (image.format, image.size) == ("PNG", size)
        assert str(output / name) in first
    assert any("broken.gif: job" in line and "cannot identify image file" in line for line in first)
    assert any("huge.webp: " in line and "HTTP 413" in line for line in first)
    assert set(again) == set(first)
    jobs = [job for job in client.jobs(queue="default") if job["function"] == "thumbnails.thumbnail"]
    assert [job["attempts"] for job in jobs] == [1, 1, 1]


def test_a_nightly_report(checkout: Checkout, client: Client) -> None:
    with checkout.read("nightly_report", WORKMANAGER_URL=",".join(checkout.up.urls)) as reader:
        reader.start(reader.block("receiver.py"), 8090)
        text = reader.block("schedule put")
        reader.run(text)
        event = json.loads(reader.printed_line("receiver.py"))
        shown = client.schedules.show("nightly")
        (run,) = shown["history"]
        night = client.handle(run["job_id"]).result()
        client.wait_for_jobs(job["id"] for job in client.workflow(night)["jobs"].values())
        workflow = client.workflow(night)
    documented = json.loads(reader.documented("job.finished").replace(", …}", "}"))
    assert (event["type"], event["data"]["result"]) == (documented["type"], documented["data"]["result"])
    assert workflow["status"] == "finished"
    assert workflow["jobs"]["finally"]["status"] == "finished"


def test_a_night_in_which_a_part_fails_is_told_and_tidied_up(checkout: Checkout, client: Client) -> None:
    with Receiver() as receiver:
        kwargs = {"url": checkout.up.urls[0], "callback_url": receiver.url, "shops": [["no name"]]}
        night = client.handle(client.submit("report.start", kwargs=kwargs)).result()
        (received,) = receiver.wait(1)
        jobs = client.workflow(night)["jobs"]
        client.wait_for_jobs(job["id"] for job in jobs.values())
    assert received.verified()["type"] == "job.canceled"
    assert client.handle(jobs["finally"]["id"]).result().startswith("tidied")


def test_three_languages(checkout: Checkout) -> None:
    for program in ("node", "java"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with checkout.read("languages") as reader:
        services = {"primes.py --port": 8091, "primes.mjs": 8092, "Primes.java": 8093}
        with ThreadPoolExecutor() as threads:
            urls = list(threads.map(lambda name: reader.start(reader.block(name), services[name]), services))
        printed = reader.run(reader.block("submit.py"))
        refused = [httpx.post(url, content=body).status_code for url in urls for body in ("{", "{}", '{"below": "x"}')]
    assert sorted(printed) == sorted(reader.documented("78498").splitlines())
    assert refused == [400] * 9


def test_from_rq(checkout: Checkout) -> None:
    with checkout.read("from_rq") as reader:
        reader.use(6379, int(checkout.redis_url.rpartition(":")[2]))
        after = reader.run(reader.block("after.py"))
        before = reader.run(reader.block("before.py"))
    assert after == before == reader.documented("['to', 2]").splitlines()


def test_from_celery(checkout: Checkout, client: Client) -> None:
    with checkout.read("from_celery") as reader:
        assert reader.run(reader.block("after.py")) == reader.documented("5\n").splitlines()
    (later,) = client.jobs(queue="slow", status="scheduled")
    assert client.cancel(later["id"])["status"] == "canceled"
    compile((EXAMPLES / "from_celery/before.py").read_text(), "before.py", "exec")


def test_an_executor_on_the_functions_of_an_example(client: Client) -> None:
    with JobExecutor(client, timeout=30) as executor:
        lengths = executor.map("texts.measure", ["a", "bb", "ccc"])
        wrong = executor.submit("texts.measure", 7)
        running = executor.submit("sleep", seconds=30)
        assert list(lengths) == [1, 2, 3]
        with pytest.raises(JobFailed, match="TypeError"):
            wrong.result()
        assert running.cancel()
    assert running.cancelled()
    assert set(client.wait_for_jobs([running.job_id]).values()) <= {"stopped", "canceled"}


@pytest.mark.parametrize("readme", sorted(EXAMPLES.glob("*/README.md")), ids=lambda path: path.parent.name)
def test_the_system_of_the_tests_has_the_settings_that_a_readme_asks_for(checkout: Checkout, readme: Path) -> None:
    (command,) = re.findall(r"^(.*(?:\\\n.*)?workmanager up.*)$", readme.read_text(), re.MULTILINE)
    asked = dict(re.findall(r"(\w+)=(\S+)", command))
    for name in ("PYTHONPATH", "WORKMANAGER_FUNCTIONS"):
        assert asked.get(name, "").rpartition("examples/")[2] in checkout.settings[name]
    assert {*asked} - {"WORKMANAGER_API_KEYS"} <= {*checkout.settings}


def test_the_programs_of_the_page_about_waiting_run(checkout: Checkout) -> None:
    _, _, section = (ROOT / "docs/watching.md").read_text().partition("\n## Wait for many jobs\n")
    section = section.partition("\n## ")[0]
    programs = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    with checkout.read("from_rq") as reader:
        for number, program in enumerate(programs):
            path = checkout.directory / f"watching_{number}.py"
            path.write_text(
                program.replace("http://127.0.0.1:5000", reader.url(5000)).replace(":5001", f":{reader.port(5001)}")
            )
        printed = reader.run("for program in watching_*.py; do .venv/bin/python $program; done")
    assert printed[0] == "{'finished'}"
    assert [line.split()[1:] for line in printed[1:3]] == [["None"], ["None"]]
    assert printed[3:] == ["[None, None]", "[None, None, None]", "[None, None]"]
