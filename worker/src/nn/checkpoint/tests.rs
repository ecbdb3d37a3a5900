use super::*;

/// Files of scripts/reference/checkpoints.py, which documents what they hold.
pub fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/checkpoints").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn floats(tensor: &TensorData) -> Vec<f32> {
    assert_eq!(tensor.dtype, Dtype::F32);
    bytemuck::pod_collect_to_vec(&tensor.bytes)
}

fn refusal(bytes: &[u8]) -> String {
    format!("{:#}", parse(bytes).unwrap_err())
}

/// A legacy checkpoint whose object is this pickle.
pub fn legacy(object: &[u8]) -> Vec<u8> {
    let whole = file("legacy.pth");
    let header = whole.windows(3).position(|w| w == b"uu.").expect("the facts about the machine end so") + 3;
    [&whole[..header], b"\x80\x02", object, b"."].concat()
}

#[test]
fn every_format_gives_the_same_tensors() {
    for name in ["zip.pth", "zip-protocol4.pth", "legacy.pth", "nested.pth", "wild.pth", "plain.safetensors"] {
        let tensors = parse(&file(name)).unwrap();
        assert_eq!(tensors.keys().map(String::as_str).collect::<String>(), "abcdefghij", "{name}");
        assert_eq!(tensors["a"].shape, [2, 3, 4], "{name}");
        assert_eq!(floats(&tensors["a"]), (0..24).map(|v| v as f32).collect::<Vec<_>>(), "{name}");
        assert_eq!(floats(&tensors["b"]), [2.0, 3.0, 4.0, 5.0], "{name}");
        assert_eq!((tensors["c"].shape.len(), tensors["c"].bytes.as_slice()), (0, &7i64.to_le_bytes()[..]), "{name}");
        let ones: [(&str, Dtype, &[u8]); 6] = [
            ("d", Dtype::F16, &[0x00, 0x3c]),
            ("e", Dtype::Bf16, &[0x80, 0x3f]),
            ("f", Dtype::F64, &1f64.to_le_bytes()),
            ("g", Dtype::I32, &1i32.to_le_bytes()),
            ("h", Dtype::U8, &[1]),
            ("i", Dtype::Bool, &[1]),
        ];
        for (key, dtype, one) in ones {
            assert_eq!(tensors[key].dtype, dtype, "{name} {key}");
            assert_eq!(tensors[key].bytes, [one, &vec![0; one.len()], one].concat(), "{name} {key}");
        }
        assert_eq!((tensors["j"].shape.as_slice(), tensors["j"].bytes.len()), (&[0, 5][..], 0), "{name}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let tensors = parse(&file("zip.pth")).unwrap();
    write(&path, &tensors).unwrap();
    assert_eq!(read(&path).unwrap(), tensors);
}

#[test]
fn code_is_refused_by_name() {
    assert!(refusal(&file("module.pth")).contains("refuses `torch.nn.modules.linear.Linear`"));
    let call = legacy(b"cos\nsystem\nX\x04\0\0\0true\x85R");
    assert!(refusal(&call).contains("refuses `os.system`"), "{}", refusal(&call));
    let by_stack = legacy(b"\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R");
    assert!(refusal(&by_stack).contains("refuses `posix.system`"), "{}", refusal(&by_stack));
    assert!(refusal(&legacy(b"}I1\n")).contains("refuses opcode 0x49"));
}

#[test]
fn greedy_files_are_refused() {
    // One float that claims to be 2^36 of them, by stride 0 and by size.
    let claim = |elements: &str, stride: &str| {
        let object = format!(
            "}}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\01X\x03\0\0\0cpu{elements}tQK\0"
        );
        let mut bytes = object.into_bytes();
        bytes.extend_from_slice(b"\x8a\x06\0\0\0\0\x10\0\x85");
        bytes.extend_from_slice(stride.as_bytes());
        bytes.extend_from_slice(b"\x85\x89NtRs");
        let mut file = legacy(&bytes);
        file.extend_from_slice(b"\x80\x02]X\x01\x00\x00\x001a.\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00");
        file
    };
    assert!(refusal(&claim("K\x01", "K\0")).contains("many times larger"), "{}", refusal(&claim("K\x01", "K\0")));
    assert!(refusal(&claim("K\x01", "K\x01")).contains("reach outside"), "{}", refusal(&claim("K\x01", "K\x01")));
    assert!(refusal(&claim("\u{4a}\x7f\x7f\x7f\x7f", "K\x01")).contains("another length"));
    // Text, nesting and marks without end.
    assert!(refusal(&legacy(b"X\xff\xff\xff\xff")).contains("ends too early"));
    assert!(refusal(&legacy(&b"N0".repeat(2_000_000))).contains("many times larger"));
    let nested = [b"]".repeat(500_000), b"a".repeat(499_999)].concat();
    assert!(parse(&legacy(&nested)).is_err());
    // A dictionary that holds itself.
    assert!(refusal(&legacy(b"}q\0X\x05\0\0\0modelh\0s\x80\x02]")).contains("ends too early"));
}

#[test]
fn other_files_are_refused() {
    assert!(refusal(b"").contains("neither"));
    assert!(refusal(b"\x89PNG\r\n").contains("neither"));
    let mut compressed = file("zip.pth");
    // The compression method of the first entry, in its local and its central header.
    for magic in [&b"PK\x03\x04"[..], b"PK\x01\x02"] {
        let at = compressed.windows(4).position(|w| w == magic).unwrap() + if magic[2] == 3 { 8 } else { 10 };
        compressed[at] = 8;
    }
    assert!(parse(&compressed).is_err());
}

#[test]
fn a_flipped_bit_in_a_zip_is_noticed() {
    let mut bytes = file("zip.pth");
    let at = bytes.windows(8).position(|w| w == [0, 0, 0x80, 0x40, 0, 0, 0, 0x41]).expect("4.0, 8.0 of `a`");
    bytes[at] ^= 1;
    assert!(parse(&bytes).is_err());
}

#[test]
fn arrays_of_numpy_are_read() {
    for name in ["arrays.npz", "packed.npz"] {
        let tensors = parse(&file(name)).unwrap();
        assert_eq!(tensors.keys().map(String::as_str).collect::<String>(), "acdfghij", "{name}");
        let expected = parse(&file("zip.pth")).unwrap();
        // numpy has no bfloat16, and `b` would be another copy.
        for (key, tensor) in &tensors {
            assert_eq!(tensor, &expected[key], "{name} {key}");
        }
    }
}

#[test]
fn shards_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let whole = parse(&file("plain.safetensors")).unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let mut map = serde_json::Map::new();
    for (i, name) in ["one.safetensors", "two.safetensors"].into_iter().enumerate() {
        let part: Tensors =
            whole.clone().into_iter().enumerate().filter(|(at, _)| at % 2 == i).map(|(_, t)| t).collect();
        map.extend(part.keys().map(|key| (key.clone(), name.into())));
        write(&folder.path().join(name), &part).unwrap();
    }
    std::fs::write(&index, serde_json::json!({ "weight_map": map }).to_string()).unwrap();
    let (digest, tensors) = open(&index).unwrap();
    assert_eq!(tensors, whole);
    write(&folder.path().join("two.safetensors"), &Tensors::new()).unwrap();
    assert_ne!(open(&index).unwrap().0, digest);
    std::fs::remove_file(folder.path().join("two.safetensors")).unwrap();
    assert!(format!("{:#}", open(&index).unwrap_err()).contains("two.safetensors"));
}

#[test]
fn what_is_exported_for_torch_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let tensors = parse(&file("zip.pth")).unwrap();
    let in_order: Vec<(String, TensorData)> = tensors.clone().into_iter().collect();
    write_torch(&path, &in_order, "{\"classes\": [\"a\"]}").unwrap();
    assert_eq!(read(&path).unwrap(), tensors);
}

#[test]
fn files_of_keras_are_refused_with_a_reason() {
    assert!(refusal(b"\x89HDF\r\n\x1a\n....").contains("Keras or HDF5"));
}
