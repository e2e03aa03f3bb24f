//! Writing the ATerm format.

use super::Derivation;

pub(super) fn derivation(derivation: &Derivation) -> Vec<u8> {
    let mut out = b"Derive(".to_vec();
    list(&mut out, &derivation.outputs, |out, (name, output)| {
        out.push(b'(');
        string(out, name.as_bytes());
        for field in [&output.path, &output.hash_algo, &output.hash] {
            out.push(b',');
            string(out, field.as_deref().unwrap_or_default().as_bytes());
        }
        out.push(b')');
    });
    out.push(b',');
    list(&mut out, &derivation.input_derivations, |out, (path, names)| {
        out.push(b'(');
        string(out, path.as_bytes());
        out.push(b',');
        list(out, names, |out, name| string(out, name.as_bytes()));
        out.push(b')');
    });
    out.push(b',');
    list(&mut out, &derivation.input_sources, |out, path| string(out, path.as_bytes()));
    for text in [&derivation.system, &derivation.builder] {
        out.push(b',');
        string(&mut out, text.as_bytes());
    }
    out.push(b',');
    list(&mut out, &derivation.arguments, |out, argument| string(out, argument));
    out.push(b',');
    list(&mut out, &derivation.environment, |out, (name, value)| {
        out.push(b'(');
        string(out, name.as_bytes());
        out.push(b',');
        string(out, value);
        out.push(b')');
    });
    out.push(b')');
    out
}

fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (n, value) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        item(out, value);
    }
    out.push(b']');
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
