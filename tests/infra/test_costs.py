"""The table of costs in docs/operating.md."""

import json
import re
import subprocess
from pathlib import Path

from infra import costs
from infra.template import render

ROOT = Path(__file__).parents[2]


def test_the_documented_costs_are_those_of_the_template_and_the_price_list() -> None:
    prices = json.loads(costs.PRICES_FILE.read_text())
    document = (ROOT / "docs/operating.md").read_text()
    documented = document.partition("<!-- infra.costs -->\n")[2].partition("<!-- end -->")[0]
    assert documented == costs.table(prices, render(), costs.USE)


def test_help_has_every_option_and_the_costs_of_the_price_list() -> None:
    text = subprocess.run([str(ROOT / "scripts/setup.sh"), "--help"], capture_output=True, text=True, check=True).stdout
    options = (ROOT / "scripts/_options.sh").read_text()
    names = re.findall(r'^(?:valued_options|flags)="([^"]*)"', options, re.MULTILINE)
    for name in " ".join(names).split():
        assert f"\n--{name} " in text, name
    prices = json.loads(costs.PRICES_FILE.read_text())
    found = {row.part: row.dollars for row in costs.rows(prices, render(), costs.USE)}
    for claim in (
        f"costs {sum(found.values()):.0f} a month",
        f"m7g.large, {found['managers'] / 2:.0f} a month each",
        f"c7g.xlarge costs {costs.worker_hour(prices, render()).dollars:.3f} on demand",
        f"{2 * prices['gp3_gib_month']} a month for each GiB",
        f"({2 * prices['hours_a_month'] * prices['public_address_hour']:.0f} a month less)",
        f"costs {prices['log_gib']} for each GiB",
        f"AWS takes {prices['kms_key_month']:.0f} a month for a key",
    ):
        assert claim in text, claim


def test_as_many_backups_are_paid_for_as_the_bucket_keeps() -> None:
    """In a bucket with versions, what expires is kept on as a former version. Of two rules, the shorter one counts:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html
    """
    (text,) = re.findall(r"--lifecycle-configuration '(.*?)'", (ROOT / "scripts/_bucket.sh").read_text(), re.DOTALL)
    rules = json.loads(text)["Rules"]

    def days_kept(key: str) -> int:
        matching = [rule for rule in rules if key.startswith(rule["Filter"]["Prefix"])]
        return min(rule["Expiration"]["Days"] for rule in matching if "Expiration" in rule) + min(
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in matching
        )

    assert 24 * days_kept("backup/hourly/manager-a/") == costs.HOURLY_BACKUPS
    assert days_kept("backup/daily/manager-a/") == costs.DAILY_BACKUPS


def test_costs_follow_the_prices_and_the_template() -> None:
    prices = json.loads(costs.PRICES_FILE.read_text())
    template = render()
    found = {row.part: row.dollars for row in costs.rows(prices, template, costs.Use(jobs=2.8, logs=10, traffic=0))}
    assert round(found["backups"], 2) == 17.13
    assert found["logs"] == 5.0
    assert found["alarms"] == 0.1 * template.count("Type: AWS::CloudWatch::Alarm")
    larger = template.replace("    Default: 20\n    MinValue: 4", "    Default: 120\n    MinValue: 4")
    assert round(sum(row.dollars for row in costs.rows(prices, larger, costs.USE)), 2) == round(
        sum(row.dollars for row in costs.rows(prices, template, costs.USE)) + 2 * 100 * 0.08, 2
    )
