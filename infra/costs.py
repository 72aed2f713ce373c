"""`python -m infra.costs`: print the monthly costs of a deployment with the template's defaults, as a Markdown table.

The numbers of parts come from the template (`template.yaml`), the prices from `prices.json`, which has their date and
region. What depends on use is computed for the amounts of `USE`.
"""

# ruff: noqa: RUF001 - the sign of multiplication

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.template import render

PRICES_FILE = Path(__file__).parent / "prices.json"
SYSTEM_DISK_GIB = 10
OWN_SECRETS = 2
"""Of setup.sh: the certificate authority, and the certificate of the Redis servers."""
METRICS = 12
"""Published by the hosts: names in `infra/host/publish_metrics.py`, and BootFailures."""
HOURLY_BACKUPS, DAILY_BACKUPS = 24 * (2 + 2), 30 + 7
"""That the bucket keeps (`scripts/_bucket.sh`): until they expire, and after that as former versions."""
SHARDS = 2
NLCU = 1


@dataclass(frozen=True, slots=True)
class Use:
    """Amounts of a month that depend on use, in GiB: jobs in each Redis master, log lines, traffic between zones."""

    jobs: float = 0.5
    logs: float = 1.0
    traffic: float = 10.0


USE = Use()


@dataclass(frozen=True, slots=True)
class Row:
    """A part, how its monthly price comes about, and the price in US dollars."""

    part: str
    formula: str
    dollars: float


def main() -> int:
    """Print the table and return the exit code."""
    sys.stdout.write(table(json.loads(PRICES_FILE.read_text()), render(), USE))
    return 0


def rows(prices: Mapping[str, Any], template: str, use: Use) -> list[Row]:
    """Return the parts that are paid for while no worker runs."""
    hours, hour = prices["hours_a_month"], prices["instance_hour"]
    manager, witness = default(template, "ManagerInstanceType"), default(template, "WitnessInstanceType")
    store = int(default(template, "StoreGibibytes"))
    disks = 2 * store + 4 + 3 * SYSTEM_DISK_GIB
    secrets, alarms = count(template, "SecretsManager::Secret") + OWN_SECRETS, count(template, "CloudWatch::Alarm")
    copies = HOURLY_BACKUPS + DAILY_BACKUPS
    gib, zone, address = prices["s3_gib_month"], prices["zone_traffic_gib"], prices["public_address_hour"]
    return [
        Row("managers", f"2 × {hours} h × {hour[manager]} (`{manager}`)", 2 * hours * hour[manager]),
        Row("witness", f"{hours} h × {hour[witness]} (`{witness}`)", hours * hour[witness]),
        Row(
            "disks",
            f"(2 × {store} managers' data + 4 witness's data + 3 × {SYSTEM_DISK_GIB} system) GiB × "
            f"{prices['gp3_gib_month']}",
            disks * prices["gp3_gib_month"],
        ),
        Row("load balancer", f"{hours} h × {prices['load_balancer_hour']}", hours * prices["load_balancer_hour"]),
        Row("its capacity units", f"{NLCU} × {hours} h × {prices['nlcu_hour']}", NLCU * hours * prices["nlcu_hour"]),
        Row(
            "public addresses",
            f"(3 hosts + 2 zones of the load balancer) × {hours} h × {address}",
            5 * hours * address,
        ),
        Row("secrets", f"{secrets} × {prices['secret_month']}", secrets * prices["secret_month"]),
        Row("alarms", f"{alarms} × {prices['alarm_month']}", alarms * prices["alarm_month"]),
        Row("metrics", f"{METRICS} × {prices['metric_month']}", METRICS * prices["metric_month"]),
        Row(
            "backups",
            f"{SHARDS} masters × {use.jobs} GiB of jobs × ({HOURLY_BACKUPS} hourly + {DAILY_BACKUPS} daily) × {gib}",
            SHARDS * use.jobs * copies * gib,
        ),
        Row("logs", f"{use.logs} GiB × {prices['log_gib']}", use.logs * prices["log_gib"]),
        Row(
            "traffic between zones",
            f"{use.traffic} GiB × {zone} (replicas; workers and clients in another zone than the manager)",
            use.traffic * zone,
        ),
    ]


def worker_hour(prices: Mapping[str, Any], template: str) -> Row:
    """Return the price of an hour of a worker on demand."""
    kind = default(template, "WorkerInstanceTypes").split(",")[0]
    price, address = prices["instance_hour"][kind], prices["public_address_hour"]
    disk = SYSTEM_DISK_GIB * prices["gp3_gib_month"] / prices["hours_a_month"]
    formula = f"{price} (`{kind}` on demand; spot is less) + {address} (address) + {disk:.4f} (disk)"
    return Row("a worker's hour", formula, price + address + disk)


def table(prices: Mapping[str, Any], template: str, use: Use) -> str:
    """Return the table, with its sum and with an example of workers."""
    found, hour = rows(prices, template, use), worker_hour(prices, template)
    lines = ["| Part | A month | US$ |", "|---|---|---:|"]
    lines += [f"| {row.part} | {row.formula} | {row.dollars:.2f} |" for row in found]
    lines.append(f"| **without workers** | | **{sum(row.dollars for row in found):.2f}** |")
    lines.append(f"| {hour.part} | {hour.formula} | {hour.dollars:.3f} |")
    lines.append(f"| four workers, 8 hours on 22 days | 704 × {hour.dollars:.3f} | {704 * hour.dollars:.2f} |")
    return "\n".join(lines) + "\n"


def default(template: str, parameter: str) -> str:
    """Return the default value of a parameter."""
    found = re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (.*)$", template, re.MULTILINE)
    assert found, parameter
    return found[1]


def count(template: str, kind: str) -> int:
    """Return the number of resources of a kind."""
    return len(re.findall(rf"^    Type: AWS::{kind}$", template, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main())
