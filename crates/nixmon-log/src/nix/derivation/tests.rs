use super::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

// Written by Nix 2.8, of `derivation { … }` in a store of its own.
const PLAIN: &str = r#"Derive([("out","/nix/store/722gr2jnw11say05hlapbxh11vygnm4z-dep-1.0","","")],[],[],"x86_64-linux","/bin/sh",["-c","echo hi > $out"],[("builder","/bin/sh"),("name","dep-1.0"),("out","/nix/store/722gr2jnw11say05hlapbxh11vygnm4z-dep-1.0"),("system","x86_64-linux")])"#;
const MULTI: &str = r#"Derive([("dev","/nix/store/s49iapqyy5nn0iyalbjfqj3x7sc19c6h-multi-2.1-dev","",""),("out","/nix/store/6j9a5yyxzvbxrsjk8ydyawn4gvq9hvpx-multi-2.1","","")],[("/nix/store/r66qk8x9ybbba8q3v6ir66arky9idlqf-dep-1.0.drv",["out"])],["/nix/store/3kwy0f4mqpj8c8j7hkcipzkccb4ffp4f-a.nix"],"x86_64-linux","/bin/sh",["-c","line1\nline2\t\"q\" \\ \r"],[("builder","/bin/sh"),("dep","/nix/store/722gr2jnw11say05hlapbxh11vygnm4z-dep-1.0"),("dev","/nix/store/s49iapqyy5nn0iyalbjfqj3x7sc19c6h-multi-2.1-dev"),("name","multi-2.1"),("out","/nix/store/6j9a5yyxzvbxrsjk8ydyawn4gvq9hvpx-multi-2.1"),("outputs","out dev"),("pname","multi"),("src","/nix/store/3kwy0f4mqpj8c8j7hkcipzkccb4ffp4f-a.nix"),("system","x86_64-linux"),("version","2.1")])"#;
const FIXED: &str = r#"Derive([("out","/nix/store/2a2bl5w7idqc18vcsyk5gf6ib3rcmi7y-source.tar.gz","sha256","e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")],[],[],"builtin","builtin:fetchurl",[],[("builder","builtin:fetchurl"),("name","source.tar.gz"),("out","/nix/store/2a2bl5w7idqc18vcsyk5gf6ib3rcmi7y-source.tar.gz"),("outputHash","sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),("outputHashAlgo","sha256"),("outputHashMode","flat"),("system","builtin"),("url","https://example.org/source.tar.gz")])"#;
const FLOATING: &str = r#"Derive([("out","","r:sha256","")],[],[],"x86_64-linux","/bin/sh",["-c","echo > $out"],[("builder","/bin/sh"),("name","floating"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system","x86_64-linux")])"#;
const REAL: [&str; 4] = [PLAIN, MULTI, FIXED, FLOATING];

const IMPURE: &str = r#"Derive([("out","","r:sha256","impure")],[],[],"s","b",[],[])"#;

fn dynamic(input_derivations: &str) -> String {
    format!(r#"DrvWithVersion("xp-dyn-drv",[],[{input_derivations}],[],"s","b",[],[])"#)
}

/// Both readers say the same of the part that both read.
fn check_same(full: &Derivation, inputs: &DerivationInputs<'_>) {
    let outputs: BTreeMap<&str, [&str; 3]> =
        inputs.outputs.iter().map(|o| (&*o.name, [&*o.path, &*o.hash_algo, &*o.hash])).collect();
    let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let full_outputs: Vec<_> = full
        .outputs
        .iter()
        .map(|(name, o)| (name.clone(), [text(&o.path), text(&o.hash_algo), text(&o.hash)]))
        .collect();
    let outputs: Vec<_> =
        outputs.iter().map(|(name, fields)| ((*name).to_owned(), fields.map(str::to_owned))).collect();
    assert_eq!(outputs, full_outputs);
    let mut input_derivations = BTreeMap::<String, BTreeSet<String>>::new();
    for input in &inputs.input_derivations {
        let names = input.outputs.iter().map(|name| name.to_string());
        input_derivations.entry(input.path.to_string()).or_default().extend(names);
    }
    assert_eq!(input_derivations, full.input_derivations);
    assert_eq!(inputs.system, full.system);
    assert_eq!(inputs.is_fixed_output(), full.is_fixed_output());
}

#[test]
fn real_derivations() {
    // Text, number of outputs, fixed-output, `pname` and `version`.
    for (text, n_outputs, fixed, version) in [
        (PLAIN, 1, false, None),
        (MULTI, 2, false, Some(("multi", "2.1"))),
        (FIXED, 1, true, None),
        (FLOATING, 1, false, None),
    ] {
        let full = Derivation::from_aterm_bytes(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(full.to_aterm_bytes()).unwrap(), text);
        assert_eq!((full.outputs.len(), full.is_fixed_output()), (n_outputs, fixed));
        check_same(&full, &DerivationInputs::from_aterm_bytes(text.as_bytes()).unwrap());
        let inputs = DerivationInputs::from_aterm_bytes_with_version(text.as_bytes()).unwrap();
        check_same(&full, &inputs);
        assert_eq!(inputs.pname.as_deref().zip(inputs.version.as_deref()), version, "{text}");
    }
    let multi = Derivation::from_aterm_bytes(MULTI.as_bytes()).unwrap();
    assert_eq!(multi.arguments[1], b"line1\nline2\t\"q\" \\ \r");
    assert_eq!(multi.environment["outputs"], b"out dev");
    assert_eq!(multi.input_sources.first().unwrap(), "/nix/store/3kwy0f4mqpj8c8j7hkcipzkccb4ffp4f-a.nix");
    let floating = Derivation::from_aterm_bytes(FLOATING.as_bytes()).unwrap();
    assert_eq!(
        floating.outputs["out"],
        Output { path: None, hash_algo: Some("r:sha256".into()), hash: None }
    );
    assert!(!Derivation::from_aterm_bytes(IMPURE.as_bytes()).unwrap().is_fixed_output());
}

#[test]
fn inputs_borrow() {
    let inputs = DerivationInputs::from_aterm_bytes_with_version(MULTI.as_bytes()).unwrap();
    let output = &inputs.outputs[0];
    let input = &inputs.input_derivations[0];
    for text in [&output.name, &output.path, &input.path, &input.outputs[0], &inputs.system] {
        assert!(matches!(text, Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn dynamic_derivations() {
    /// An input derivation and its output names.
    type Input<'a> = (&'a str, &'a [&'a str]);
    // The list of input derivations, and what is read from it.
    let cases: &[(&str, &[Input<'_>])] = &[
        ("", &[]),
        (r#"("/a.drv",["out"])"#, &[("/a.drv", &["out"])]),
        (r#"("/a.drv",(["out"],[]))"#, &[("/a.drv", &["out"])]),
        (
            r#"("/a.drv",(["out"],[("foo",["bar"])])),("/b.drv",["dev"])"#,
            &[("/a.drv", &["foo", "out"]), ("/b.drv", &["dev"])],
        ),
        (r#"("/a.drv",([],[("out",([],[("out",["x"]),("y",["z\"]"])]))]))"#, &[("/a.drv", &["out"])]),
        (r#"("/a.drv",(["out"],[("out",["x"])]))"#, &[("/a.drv", &["out"])]),
    ];
    for (list, expected) in cases {
        let text = dynamic(list);
        let full = Derivation::from_aterm_bytes(text.as_bytes()).unwrap();
        let got: Vec<(&str, Vec<&str>)> = full
            .input_derivations
            .iter()
            .map(|(path, names)| (path.as_str(), names.iter().map(String::as_str).collect()))
            .collect();
        let expected: Vec<(&str, Vec<&str>)> =
            expected.iter().map(|(path, names)| (*path, names.to_vec())).collect();
        assert_eq!(got, expected, "{list}");
        check_same(&full, &DerivationInputs::from_aterm_bytes(text.as_bytes()).unwrap());
    }
}

#[test]
fn depth_is_bounded() {
    for (n, fits) in [(1, true), (64, true), (65, false), (100_000, false)] {
        let nested = format!(r#"{}["x"]{}"#, r#"([],[("out","#.repeat(n), ")])".repeat(n));
        // The outermost level is the input derivation's own.
        let text = dynamic(&format!(r#"("/a.drv",([],[("out",{nested})]))"#));
        let result = Derivation::from_aterm_bytes(text.as_bytes());
        assert_eq!(result.is_ok(), fits, "{n}");
        if !fits {
            assert!(matches!(result, Err(ParseDerivationError::TooDeep { .. })));
        }
    }
}

#[test]
fn errors() {
    use ParseDerivationError as E;
    let expected = |expected, offset| E::Expected { expected, offset };
    let trailing = format!("{PLAIN}x");
    let cases: &[(&[u8], ParseDerivationError)] = &[
        (b"", E::UnexpectedEnd),
        (b"Der", E::UnexpectedEnd),
        (b"derive", expected("'Derive' or 'DrvWithVersion'", 0)),
        (b"Derive([x", expected("'('", 8)),
        (b"Derive([(\"out\"]", expected("','", 14)),
        (b"Derive([(\"o\",\"\",\"\",\"\");", expected("',' or ']'", 22)),
        (b"Derive([],[(\"a\",([\"b\"],[]))]", expected("'['", 16)),
        (b"Derive([],[(\"a\xff", E::UnexpectedEnd),
        (b"Derive([],[(\"a\xff\"", E::NotUtf8 { offset: 16 }),
        (b"Derive([],[(\"a\\", E::UnexpectedEnd),
        (b"DrvWithVersion(\"xp-other\",[]", E::UnknownVersion),
        (trailing.as_bytes(), E::Trailing { offset: PLAIN.len() }),
    ];
    for (input, error) in cases {
        let text = String::from_utf8_lossy(input);
        assert_eq!(Derivation::from_aterm_bytes(input).as_ref(), Err(error), "{text}");
    }
    assert!(Derivation::from_aterm_bytes(format!("{PLAIN}\n").as_bytes()).is_ok());
}

#[test]
fn every_beginning_is_unexpected_end() {
    for text in REAL {
        for n in 0..text.len() {
            let result = Derivation::from_aterm_bytes(&text.as_bytes()[..n]);
            assert_eq!(result, Err(ParseDerivationError::UnexpectedEnd), "{n} of {text}");
        }
    }
}

#[test]
fn bytes_that_are_no_text() {
    let input = b"Derive([],[],[],\"s\",\"b\",[\"\xff\"],[(\"a\",\"\xfe\\\\\"),(\"pname\",\"\xff\"),(\"version\",\"1\")])";
    let full = Derivation::from_aterm_bytes(input).unwrap();
    assert_eq!(full.arguments, [b"\xff"]);
    assert_eq!(full.environment["a"], b"\xfe\\");
    assert_eq!(full.to_aterm_bytes(), input);
    let inputs = DerivationInputs::from_aterm_bytes_with_version(input).unwrap();
    assert_eq!((inputs.pname, inputs.version.as_deref()), (None, Some("1")));
}

/// Strings with the characters that the format escapes or delimits with.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/.-]{1,12}", "[\"\\\\\n\r\t,()\\[\\]a]{1,8}", "\\PC{1,6}"]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..12), any_text().prop_map(String::into_bytes)]
}

fn any_output() -> impl Strategy<Value = Output> {
    let field = || proptest::option::of(any_text());
    (field(), field(), field()).prop_map(|(path, hash_algo, hash)| Output { path, hash_algo, hash })
}

prop_compose! {
    fn any_derivation()(
        outputs in btree_map(any_text(), any_output(), 0..4),
        input_derivations in btree_map(any_text(), btree_set(any_text(), 0..4), 0..4),
        input_sources in btree_set(any_text(), 0..4),
        system in any_text(),
        builder in any_text(),
        arguments in vec(any_bytes(), 0..4),
        environment in btree_map(prop_oneof![any_text(), "pname|version|w"], any_bytes(), 0..6),
    ) -> Derivation {
        Derivation { outputs, input_derivations, input_sources, system, builder, arguments, environment }
    }
}

proptest! {
    #[test]
    fn round_trip(derivation in any_derivation()) {
        let bytes = derivation.to_aterm_bytes();
        let full = Derivation::from_aterm_bytes(&bytes).unwrap();
        check_same(&full, &DerivationInputs::from_aterm_bytes(&bytes).unwrap());
        let inputs = DerivationInputs::from_aterm_bytes_with_version(&bytes).unwrap();
        check_same(&full, &inputs);
        let attribute = |name| {
            let value: Option<&Vec<u8>> = derivation.environment.get(name);
            value.and_then(|value| String::from_utf8(value.clone()).ok())
        };
        prop_assert_eq!(inputs.pname.map(Cow::into_owned), attribute("pname"));
        prop_assert_eq!(inputs.version.map(Cow::into_owned), attribute("version"));
        prop_assert_eq!(full, derivation);
    }

    #[test]
    fn damaged_content_never_panics(
        which in 0..REAL.len(),
        edits in vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(b'"'), Just(b'('), Just(b'\\')]), 1..4),
    ) {
        let mut bytes = REAL[which].as_bytes().to_vec();
        for (index, byte) in edits {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(full) = Derivation::from_aterm_bytes(&bytes) {
            check_same(&full, &DerivationInputs::from_aterm_bytes(&bytes).unwrap());
            prop_assert_eq!(Derivation::from_aterm_bytes(&full.to_aterm_bytes()), Ok(full));
        }
        let _ = DerivationInputs::from_aterm_bytes_with_version(&bytes);
    }

    #[test]
    fn arbitrary_content_never_panics(bytes: Vec<u8>, after in "[\"\\\\,()\\[\\]a]{0,40}") {
        let _ = Derivation::from_aterm_bytes(&bytes);
        for head in ["Derive(", "DrvWithVersion(\"xp-dyn-drv\","] {
            let _ = Derivation::from_aterm_bytes(format!("{head}{after}").as_bytes());
            let _ = DerivationInputs::from_aterm_bytes_with_version(format!("{head}{after}").as_bytes());
        }
    }
}
