"""The functions of the nightly report. Workers run them."""

import os
import random
from datetime import UTC, datetime

from workmanager import job
from workmanager.client import Client


def start(url: str, callback_url: str, shops: list[str]) -> str:
    """Submit the workflow of this night, and return its id.

    The id is made of this job's, so that a second run of this job submits nothing twice.
    """
    parts = {f"sales-{number}": shop for number, shop in enumerate(shops)}
    with Client(url, os.environ.get("REPORT_API_KEY")) as client:
        workflow = client.submit_workflow(
            {
                **{name: {"function": "report.count_sales", "args": [shop]} for name, shop in parts.items()},
                "report": {
                    "function": "report.combine",
                    "depends_on": [*parts],
                    # Of any end: if a part fails, the report is canceled, and the receiver hears of that, too.
                    "callback": {"url": callback_url, "include": ["result"]},
                },
            },
            finally_={"function": "report.tidy"},
            workflow_id=f"night-{job.id()}",
        )
    return str(workflow["id"])


def count_sales(shop: str) -> dict[str, str | int]:
    """Return the sales of one shop. A real function asks a database."""
    job.log(f"counting the sales of {shop}")
    return {"shop": shop, "sales": random.Random(shop).randrange(1_000)}


def combine() -> dict[str, int]:
    """Return the sales of all shops, and their sum, from the results of the jobs before."""
    sales = {part["shop"]: part["sales"] for part in job.parent_results().values()}
    return {**sales, "all": sum(sales.values())}


def tidy() -> str:
    """Run at the end of each night, however it went. A real function removes temporary files."""
    return f"tidied at {datetime.now(UTC):%H:%M}"
