"""Tests of rust_calls.py: what is seen as a call, and what is not."""

import unittest

from rust_calls import Graph, functions_of, tidy

STORE = """
impl Store {
    /// Not a call: self.drop_table()
    pub async fn get_job(&self, id: &str) -> Result<Job> {
        self.client
            .get_item()
            .key("}", "{ client.delete_item()")
            .send()
            .await
    }
    pub async fn get(&self) { self.client.query().index_name(x).send().await }
    async fn create_table(&self) { self.client.create_table().send().await }
}
#[cfg(test)]
mod tests {
    fn helper() { store.get(); }
}
"""
ENGINE = """
use crate::engine::helper::{help, Round};
impl Engine {
    pub async fn run<'a>(&'a self) -> Result<()> {
        let table = &self.store;
        table.get_job("x").await?;
        map.get('{');
        help(self).await?;
        Round::start(self).turn().await
    }
    async fn idle(&self) { answer.send().await }
}
"""
HELPER = """
pub struct Round<'a> { engine: &'a Engine }
impl<'a> Round<'a> {
    pub fn start(engine: &'a Engine) -> Self { Self { engine } }
    pub fn named(engine: &'a Engine, name: impl Into<String>) -> Self { Self { engine } }
    pub async fn turn(self) { self.engine.idle().await }
}
pub async fn help(engine: &Engine) { if false { engine.store().create_table().await } }
pub fn unused() {}
"""
SOURCES = {"src/store/job.rs": STORE, "src/engine/run.rs": ENGINE, "src/engine/helper.rs": HELPER}


class Calls(unittest.TestCase):
    def setUp(self):
        self.graph = Graph(SOURCES)

    def reached(self, name, without=()):
        (root,) = self.graph.by_name[name]
        return {str(function) for function in self.graph.reach([root], without)}

    def test_comments_strings_and_tests_are_no_code(self):
        text = tidy(STORE)
        for word in ("drop_table", "delete_item", "helper"):
            self.assertNotIn(word, text)
        self.assertEqual([f.name for f in functions_of("x.rs", STORE)], ["get_job", "get", "create_table"])

    def test_operations_over_several_lines_are_seen(self):
        (get_job,) = self.graph.by_name["get_job"]
        self.assertEqual(get_job.operations({"get_item"}), {"get_item"})
        # Unknown ones are reported, not overlooked.
        self.assertEqual(get_job.operations(set()), {"get_item"})

    def test_calls_are_followed_through_aliases_imports_and_helper_types(self):
        self.assertEqual(
            self.reached("run"),
            {"Engine::run", "Engine::idle", "Store::get_job", "Store::create_table"}
            | {"Round::start", "Round::turn", "helper::help"},
        )

    def test_get_of_a_map_is_not_get_of_the_store(self):
        self.assertNotIn("Store::get", self.reached("run"))

    def test_what_is_left_out_is_not_entered(self):
        self.assertNotIn("Store::create_table", self.reached("run", {"Store::create_table"}))

    def test_files_for_tests_are_left_out(self):
        graph = Graph({"src/a/mod.rs": "#[cfg(test)]\nmod tests;\nfn f() {}", "src/a/tests.rs": "fn g() {}"})
        self.assertEqual([f.name for f in graph.functions], ["f"])


if __name__ == "__main__":
    unittest.main()
