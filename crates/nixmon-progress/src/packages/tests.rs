//! Projects from each of their sources.

use std::collections::BTreeMap;

use super::*;

struct Files(BTreeMap<&'static str, &'static str>);

impl Read for Files {
    fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).map(|text| (*text).to_owned())
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
        let names = self.0.keys().filter_map(|path| path.strip_prefix(prefix.as_str()));
        names.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect()
    }

    fn size(&self, _path: &str) -> Option<u64> {
        None
    }
}

/// Reads files and compares `name kind sources -> dependencies`.
fn check(origin: Origin, files: &[(&'static str, &'static str)], expected: &[&str]) {
    let project = Project::read(&Files(files.iter().copied().collect())).unwrap();
    let said: Vec<String> = project
        .targets
        .iter()
        .map(|target| {
            let sources: Vec<&str> = target.sources.iter().map(|source| source.path.as_str()).collect();
            let lto = if target.lto { " lto" } else { "" };
            let default = if project.is_expected(target) { "" } else { " (left out)" };
            format!("{} {:?}{lto} {sources:?} -> {:?}{default}", target.name, target.kind, target.depends_on)
        })
        .collect();
    assert_eq!(said, expected);
    assert_eq!(project.origin, origin);
}

#[test]
fn build_ninja() {
    // Cut from what CMake 3.25 and Meson 1.0.1 wrote.
    let cmake = "rule C_COMPILER__a_\n  command = cc\n
build CMakeFiles/a.dir/a.c.o: C_COMPILER__a_unscanned_Release /src/a.c || cmake_object_order_depends_target_a
  FLAGS = -O2
build liba.a: C_STATIC_LIBRARY_LINKER__a_Release CMakeFiles/a.dir/a.c.o
build CMakeFiles/prog.dir/main.cc.o: CXX_COMPILER__prog_unscanned_Release /src/main.cc || $
  cmake_object_order_depends_target_prog
build prog: CXX_EXECUTABLE_LINKER__prog_Release CMakeFiles/prog.dir/main.cc.o | liba.a || liba.a
  FLAGS = -O3 -flto=auto
build CMakeFiles/extra.dir/x.c.o: C_COMPILER__extra_unscanned_Release /src/x.c
build libextra.a: C_STATIC_LIBRARY_LINKER__extra_Release CMakeFiles/extra.dir/x.c.o
build all: phony liba.a prog
default all
";
    check(
        Origin::NinjaFile,
        &[("build.ninja", cmake)],
        &[
            r#"a StaticLibrary ["/src/a.c"] -> []"#,
            r#"extra StaticLibrary ["/src/x.c"] -> [] (left out)"#,
            r#"prog Executable lto ["/src/main.cc"] -> ["a"]"#,
        ],
    );
    let meson = "build src/libd.a.p/x.c.o: c_COMPILER ../src/x.c || src/version.h
build src/libd.a: STATIC_LINKER src/libd.a.p/x.c.o
build tools/d.p/main.c.o: c_COMPILER ../tools/main.c
build tools/d: c_LINKER src/libd.a.p/x.c.o tools/d.p/main.c.o | src/libd.a
build all: phony src/libd.a tools/d
default all
";
    check(
        Origin::NinjaFile,
        &[("build.ninja", meson)],
        &[
            r#"d Executable ["../tools/main.c"] -> ["libd.a"]"#,
            r#"libd.a StaticLibrary ["../src/x.c"] -> []"#,
        ],
    );
}

#[test]
fn objects_of_the_file_api() {
    // Cut from what CMake 3.25 wrote for a project with a target at its top, one in a directory and a generated source.
    let codemodel = r#"{"paths":{"source":"/p","build":"/p/build"},"configurations":[{"targets":[
        {"id":"top","name":"top","jsonFile":"target-top.json","directoryIndex":0},
        {"id":"sub","name":"sub","jsonFile":"target-sub.json","directoryIndex":1}]}]}"#;
    let target = |dir: &str, sources: &str, needs: &str| {
        format!(
            r#"{{"type":"STATIC_LIBRARY","paths":{{"source":"{dir}","build":"{dir}"}},"dependencies":[{needs}],
                "sources":[{sources}],"compileGroups":[{{"language":"C"}}]}}"#
        )
    };
    let top = target(
        ".",
        r#"{"path":"src/a.c","compileGroupIndex":0},{"path":"build/gen/g.c","compileGroupIndex":0},{"path":"a.h"}"#,
        r#"{"id":"sub"}"#,
    );
    let sub = target(
        "lib",
        r#"{"path":"lib/b.c","compileGroupIndex":0},{"path":"src/c.c","compileGroupIndex":0}"#,
        "",
    );
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let files = Files(
        [
            (".cmake/api/v1/reply/codemodel-v2-1.json", codemodel),
            (".cmake/api/v1/reply/target-top.json", leak(top)),
            (".cmake/api/v1/reply/target-sub.json", leak(sub)),
        ]
        .into(),
    );
    let project = Project::read(&files).unwrap();
    let objects = |name: &str| -> Vec<&str> {
        project.target(name).unwrap().sources.iter().filter_map(|source| source.object.as_deref()).collect()
    };
    assert_eq!(project.origin, Origin::CmakeFileApi);
    assert_eq!(objects("top"), ["CMakeFiles/top.dir/src/a.c.o", "CMakeFiles/top.dir/gen/g.c.o"]);
    assert_eq!(objects("sub"), ["lib/CMakeFiles/sub.dir/b.c.o", "lib/CMakeFiles/sub.dir/__/src/c.c.o"]);
    assert_eq!(project.target("top").unwrap().depends_on, ["sub"]);
}

#[test]
fn makefiles() {
    check(
        Origin::Makefiles,
        &[
            (
                "CMakeFiles/Makefile2",
                "all: CMakeFiles/prog.dir/all\n.PHONY : all\nCMakeFiles/prog.dir/all: CMakeFiles/a.dir/all\n\t$(MAKE)\nCMakeFiles/a.dir/all:\n\t$(MAKE)\nCMakeFiles/a.dir/rule: x\n",
            ),
            (
                "CMakeFiles/prog.dir/DependInfo.cmake",
                "set(CMAKE_DEPENDS_DEPENDENCY_FILES\n  \"/src/main.cc\" \"CMakeFiles/prog.dir/main.cc.o\" \"gcc\" \"CMakeFiles/prog.dir/main.cc.o.d\"\n  )\n",
            ),
            ("CMakeFiles/prog.dir/link.txt", "/usr/bin/c++ CMakeFiles/prog.dir/main.cc.o -o prog liba.a \n"),
            (
                "CMakeFiles/a.dir/DependInfo.cmake",
                "  \"/src/a.c\" \"CMakeFiles/a.dir/a.c.o\" \"gcc\" \"x.d\"\n",
            ),
            ("CMakeFiles/a.dir/link.txt", "/usr/bin/ar qc liba.a CMakeFiles/a.dir/a.c.o\n"),
        ],
        &[r#"a StaticLibrary ["/src/a.c"] -> []"#, r#"prog Executable ["/src/main.cc"] -> ["a"]"#],
    );
}

#[test]
fn cmake_lists() {
    check(
        Origin::CmakeLists,
        &[
            (
                "CMakeLists.txt",
                "# add_library(no no.c)\nset(SRC main.cc \"b c.cc\")\nlist(APPEND SRC d.cc)\nadd_executable(prog ${SRC} x.h)\ntarget_link_libraries(prog PRIVATE a m g)\nfile(GLOB G src/*.c)\nadd_library(g ${G})\nadd_library(x::a ALIAS a)\n",
            ),
            ("src/g2.c", ""),
            ("src/g1.c", ""),
            ("src/g.h", ""),
            (
                "packages/a/CMakeLists.txt",
                "if(X)\nadd_library(a STATIC ${CMAKE_CURRENT_SOURCE_DIR}/a.c)\nendif()\n",
            ),
        ],
        &[
            r#"a StaticLibrary ["packages/a/a.c"] -> []"#,
            r#"g StaticLibrary ["src/g1.c", "src/g2.c"] -> []"#,
            r#"prog Executable ["main.cc", "b c.cc", "d.cc"] -> ["a", "g"]"#,
        ],
    );
}

#[test]
fn cargo_metadata() {
    let json = r#"{"packages":[
        {"id":"p","name":"prog","targets":[{"src_path":"/p/src/main.rs","kind":["bin"]},{"src_path":"/p/tests/t.rs","kind":["test"]}]},
        {"id":"l","name":"lib","targets":[{"src_path":"/l/src/lib.rs","kind":["lib"]}]},
        {"id":"t","name":"tests-only","targets":[{"src_path":"/t/src/lib.rs","kind":["lib"]}]}],
        "resolve":{"nodes":[{"id":"p","deps":[{"pkg":"l","dep_kinds":[{"kind":null}]},{"pkg":"t","dep_kinds":[{"kind":"dev"}]}]},{"id":"l","deps":[]}]},
        "workspace_members":["p"]}"#;
    let project = Project::from_cargo_metadata(json).unwrap();
    let prog = project.target("prog").unwrap();
    assert_eq!((prog.depends_on.as_slice(), prog.sources.len()), (&["lib".to_owned()][..], 1));
    assert_eq!(prog.kind, TargetKind::Executable);
    assert_eq!(cargo_lock_packages("[[package]]\nname = \"a\"\n\n[[package]]\n"), 2);
    assert_eq!(unit_graph_len(r#"{"version":1,"units":[{},{}],"roots":[0]}"#), Some(2));
}

#[test]
fn cargo_metadata_without_dependencies() {
    let json = r#"{"packages":[
        {"id":"p","name":"prog","targets":[{"src_path":"/p/src/main.rs","kind":["bin"]}],
         "dependencies":[{"name":"lib","kind":null},{"name":"serde","kind":null},{"name":"helper","kind":"dev"},{"name":"gen","kind":"build"}]},
        {"id":"l","name":"lib","targets":[],"dependencies":[]},{"id":"h","name":"helper","targets":[]},{"id":"g","name":"gen","targets":[]}],
        "resolve":null,"workspace_members":["p","l","h","g"]}"#;
    let project = Project::from_cargo_metadata(json).unwrap();
    assert_eq!(project.target("prog").unwrap().depends_on, ["gen", "lib"]);
}

#[test]
fn two_versions_of_a_crate_are_one_package() {
    let json = r#"{"packages":[
        {"id":"a1","name":"a","targets":[]},{"id":"a2","name":"a","targets":[]},{"id":"b","name":"b","targets":[]},{"id":"c","name":"c","targets":[]}],
        "resolve":{"nodes":[{"id":"a1","deps":[{"pkg":"b"}]},{"id":"a2","deps":[{"pkg":"c"},{"pkg":"a1"}]}]},"workspace_members":[]}"#;
    let project = Project::from_cargo_metadata(json).unwrap();
    assert_eq!(project.target("a").unwrap().depends_on, ["b", "c"]);
}

#[test]
fn expected_times_go_by_language_and_links() {
    let files = [(
        "CMakeLists.txt",
        "add_library(c a.c b.c)\nadd_library(cxx a.cc b.cc)\nadd_executable(prog main.c)\nadd_library(nothing INTERFACE)\n",
    )];
    let project = Project::read(&Files(files.into())).unwrap();
    let time = |name: &str| project.expected_time(project.target(name).unwrap());
    assert!(time("cxx") > 5 * time("c"), "{:?} {:?}", time("cxx"), time("c"));
    assert!(time("prog") > time("c"), "a link takes longer than a file of C");
    assert_eq!(time("nothing"), Duration::ZERO);
}

#[test]
fn the_longest_chain_goes_through_what_takes_no_time() {
    let needs: Vec<Vec<String>> = [&[][..], &["a"], &["b"], &[], &["c", "d", "gone"], &["e"]]
        .iter()
        .map(|names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect())
        .collect();
    let seconds = [Some(2), Some(1), None, Some(4), Some(1), Some(0)];
    let links: Vec<Link<'_>> = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .zip(&needs)
        .zip(seconds)
        .map(|((name, needs), time)| Link { name, depends_on: needs, time: time.map(Duration::from_secs) })
        .collect();
    let path = longest_chain(&links);
    assert_eq!((path.packages, path.total.as_secs()), (vec!["d".to_owned(), "e".to_owned()], 5));
    let slower: Vec<Link<'_>> = links
        .iter()
        .map(
            |link| {
                if link.name == "b" { Link { time: Some(Duration::from_secs(3)), ..*link } } else { *link }
            },
        )
        .collect();
    let path = longest_chain(&slower);
    assert_eq!((path.packages.join(" "), path.total.as_secs()), ("a b e".to_owned(), 6));
    assert_eq!(longest_chain(&[]), CriticalPath::default());
}

#[test]
fn hostile_files_are_no_project() {
    for text in
        ["", "build", "build :", "build a: ", "build a: C_COMPILER__\n", "default \0\n", "build x$: y"]
    {
        let files = Files([("build.ninja", text)].into());
        assert!(Project::read(&files).is_none_or(|project| project.targets.is_empty()), "{text:?}");
    }
    for text in ["((((", "add_library(", "add_library(a", "set()", "add_library(\"a b.c)"] {
        let files = Files([("CMakeLists.txt", text)].into());
        let _ = Project::read(&files);
    }
    assert!(Project::from_cargo_metadata("{}").is_none());
}
