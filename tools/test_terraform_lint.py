"""Tests of terraform_lint.py: breaks of terraform/ that `terraform validate` lets pass. Needs .venv-deploy."""

import unittest

try:
    import hcl2  # noqa: F401
except ImportError as error:
    raise unittest.SkipTest("make check-terraform runs these in .venv-deploy") from error

import terraform_lint
from infra import hcl

FOLDER = terraform_lint.ROOT / "terraform"
# (file, text that is there, what takes its place, what must be said)
MISTAKES = [
    ("variables.tf", 'variable "tags"', 'variable "tag"', "var.tag is not used"),
    ("variables.tf", "  type        = map(string)\n", "", "var.tags has no type"),
    ("outputs.tf", '  description = "The DynamoDB table."\n', "", "output.table_name has no description"),
    ("iam.tf", "  queues_arn =", "  queue_arn  =", "local.queue_arn is not used"),
    ("main.tf", 'data "aws_partition" "current" {}', 'data "aws_partition" "current" {}\n\ndata "aws_partition" "other" {}', "data.aws_partition.other is not used"),
    ("schedules.tf", "  tags                = local.tags\n", "", "has no tags"),
    ("versions.tf", '"~> 6.69"', '"~> 7.0"', "does not allow"),
    ("versions.tf", '"~> 6.69"', '">= 6.69"', "wants aws with a version"),
]


class Provider:
    """Everything can have tags."""

    version = "6.69.1"

    def schema(self, _kind, _type):
        return {"tags": None}


class Lint(unittest.TestCase):
    def problems(self, changed=None, readme=None):
        readme = readme or (FOLDER / "README.md").read_text(encoding="utf-8")
        return list(terraform_lint.problems(hcl.read_folder(FOLDER, changed), Provider(), readme))

    def test_mistakes_are_found(self):
        usual = self.problems()
        for file, old, new, said in MISTAKES:
            with self.subTest(file=file, new=new):
                text = (FOLDER / file).read_text(encoding="utf-8")
                self.assertIn(old, text, "the text is no longer there; change MISTAKES")
                found = [problem for problem in self.problems({file: text.replace(old, new, 1)}) if problem not in usual]
                self.assertTrue(any(said in problem for problem in found), found)

    def test_rows_of_the_readme(self):
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        for row in ("| `api_zip` |", "| `api_url` |"):
            found = [p for p in self.problems(readme=readme.replace(row, "| `nothing` |")) if p.startswith("README.md")]
            self.assertEqual(len(found), 2, found)


if __name__ == "__main__":
    unittest.main()
