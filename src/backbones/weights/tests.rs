use super::*;
use crate::backbones::find;

fn refusal(weights: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    locate(find("resnet18").unwrap(), &Wanted::named(weights), root.path()).unwrap_err().to_string()
}

fn parsed(weights: &str) -> Name<'_> {
    // Only parsing borrows it.
    let wanted = Box::leak(Box::new(Wanted::named(weights)));
    parse(find("resnet18").unwrap(), wanted).unwrap()
}

#[test]
fn names_and_paths_are_told_apart() {
    let lite0 = find("efficientnet_lite0").unwrap();
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("mine.pth"), b"x").unwrap();
    let located = |weights: &str| locate(lite0, &Wanted::named(weights), root.path()).unwrap();
    assert_eq!(located("none"), WeightsLocation::Random);
    let mine = WeightsLocation::File { path: root.path().join("mine.pth"), checksum: None };
    assert_eq!(located("mine.pth"), mine);
    assert!(refusal("imagnet").contains("did you mean `imagenet`?"), "{}", refusal("imagnet"));
    assert!(refusal("clip").contains("expected imagenet or none"), "{}", refusal("clip"));
    let missing = refusal("weights/mine.pth");
    assert!(missing.contains("weights/mine.pth. Published weights"), "{missing}");
}

#[test]
fn published_names_mean_their_files() {
    let Name::Web { url, file, checksum } = parsed("torchvision:resnet18.IMAGENET1K_V1") else { panic!() };
    assert_eq!(
        (url.as_str(), file.as_str()),
        ("https://download.pytorch.org/models/resnet18-f37072fd.pth", "resnet18-f37072fd.pth")
    );
    assert_eq!(checksum.unwrap().sha256, "f37072fd");
    // The same file under its other name.
    let Name::Published(published) = parsed("imagenet") else { panic!() };
    assert_eq!((published.file, published.source), (file.as_str(), url.as_str()));
    let Name::Hub(timm) = parsed("timm:resnet18.a1_in1k") else { panic!() };
    assert_eq!((timm.repo.as_str(), timm.file), ("timm/resnet18.a1_in1k", None));
    let Name::Hub(hub) = parsed("hf:me/mine/sub/model.safetensors") else { panic!() };
    assert_eq!((hub.repo.as_str(), hub.file.as_deref()), ("me/mine", Some("sub/model.safetensors")));
}

#[test]
fn addresses_get_names_of_their_own() {
    let file = |text: &str| match parsed(text) {
        Name::Web { file, checksum, .. } => (file, checksum),
        other => panic!("{other:?}"),
    };
    let (one, checksum) = file("https://a.org/x/model%20v1.pth?download=true");
    assert!(one.ends_with("-model_20v1.pth") && one.len() == 12 + 15, "{one}");
    assert_eq!(checksum, None);
    assert_ne!(one, file("https://b.org/x/model%20v1.pth?download=true").0);
    assert_eq!(file("https://download.pytorch.org/models/x-0123456789.pth").1.unwrap().sha256, "0123456789");
    // Eight digits in anyone's name are perhaps a date.
    assert_eq!(file("https://a.org/model-20260101.pth").1, None);
}

#[test]
fn what_means_nothing_is_refused_with_a_remedy() {
    for (weights, expected) in [
        ("torchvision:resnet18.IMAGENET1K_V2", "there are `torchvision:resnet18.IMAGENET1K_V1`"),
        ("torchvision:resnet34.IMAGENET1K_V1", "torchvision has no weights `resnet34.IMAGENET1K_V1` for resnet18"),
        ("timm:", "write `timm:resnet18.a1_in1k`"),
        ("hf:mine", "write `hf:<owner>/<repo>`"),
        ("http://a.org/x.pth", "use https, or write `{ file: \"http://a.org/x.pth\", sha256: ... }`"),
        ("s3://bucket/x.pth", "weights are not fetched over `s3`"),
    ] {
        assert!(refusal(weights).contains(expected), "{}", refusal(weights));
    }
    let wanted = Wanted { sha256: Some("f37072fd".into()), ..Wanted::named("mine.pth") };
    assert!(parse(find("resnet18").unwrap(), &wanted).unwrap_err().message.contains("64 hexadecimal digits"));
}

#[test]
fn what_is_not_here_says_where_it_comes_from_and_goes() {
    let wanted = Wanted::named("https://a.org/x.safetensors");
    let located = locate(find("resnet18").unwrap(), &wanted, Path::new(".")).unwrap();
    let WeightsLocation::Absent(absent) = located else { panic!("{located:?}") };
    let text = absent.to_string();
    assert_eq!(
        text,
        "weights `https://a.org/x.safetensors` of resnet18 are not on this machine and come from https://a.org/x.safetensors"
    );
    let by_hand = absent.by_hand();
    assert!(by_hand.starts_with("put the file https://a.org/x.safetensors at /"), "{by_hand}");
    assert!(by_hand.ends_with("-x.safetensors"), "{by_hand}");
}

#[test]
fn a_damaged_published_file_is_noticed() {
    let published = &find("efficientnet_lite0").unwrap().published[0];
    let path = cached(published).unwrap();
    assert!(path.exists(), "{} is missing: run `make fetch`", path.display());
    Checksum::from(published).verify(&path).unwrap();
    let root = tempfile::tempdir().unwrap();
    let other = root.path().join("other.pth");
    fs::write(&other, b"other").unwrap();
    let error = Checksum::from(published).verify(&other).unwrap_err().to_string();
    assert!(error.contains("expected 579344248a93"), "{error}");
}

#[test]
fn an_index_lists_its_shards_and_nothing_outside_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "two.safetensors", "b": "one.safetensors", "c": "two.safetensors"}}"#)
        .unwrap();
    let names: Vec<_> = parts(&index).unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["model.safetensors.index.json", "one.safetensors", "two.safetensors"]);
    for wrong in ["../x", "/etc/passwd", "", "a/b", "x.index.json"] {
        fs::write(&index, format!(r#"{{"weight_map": {{"a": "{wrong}"}}}}"#)).unwrap();
        assert!(parts(&index).is_err(), "{wrong}");
    }
    assert_eq!(parts(Path::new("m.pth")).unwrap(), [Path::new("m.pth")]);
    assert_eq!(digest(&["one".into()]), "one");
    assert_ne!(digest(&["one".into(), "two".into()]), digest(&["two".into(), "one".into()]));
}

#[test]
fn both_ways_to_write_weights_are_read() {
    let read = |text: &str| serde_json::from_str::<Wanted>(text).unwrap();
    assert_eq!(read(r#""imagenet""#), Wanted::named("imagenet"));
    let lax = Wanted { strict: false, ..Wanted::named("x.pth") };
    assert_eq!(read(r#"{"file": "x.pth", "strict": false}"#), lax);
    for wanted in [Wanted::named("imagenet"), lax] {
        assert_eq!(read(&serde_json::to_string(&wanted).unwrap()), wanted);
    }
    assert_eq!(serde_json::to_string(&Wanted::named("imagenet")).unwrap(), r#""imagenet""#);
}
