//! ResNet (He et al. 2015), Wide ResNet (Zagoruyko and Komodakis 2016) and ResNeXt (Xie et al. 2016), in torchvision's
//! parameter names and its v1.5 stride placement. Blocks: `stem`, `layer1` ... `layer4`.

use super::{
    Activation, Backbone, Block, Initialization, Layer,
    parts::{ConvShape, ConvStyle, imagenet_images, imagenet_weights},
};

/// A row of the table.
struct Member {
    name: &'static str,
    /// Residual blocks of each layer.
    depths: [usize; 4],
    unit: Unit,
    weights: &'static str,
}

#[derive(Clone, Copy)]
enum Unit {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 in `groups`, 1x1, with `width` channels a group and 64 channels outside.
    Bottleneck { groups: usize, width: usize },
}

const BOTTLENECK: Unit = Unit::Bottleneck { groups: 1, width: 64 };

#[rustfmt::skip]
const MEMBERS: [Member; 7] = [
    Member { name: "resnet18", depths: [2, 2, 2, 2], unit: Unit::Basic, weights: "https://download.pytorch.org/models/resnet18-f37072fd.pth" },
    Member { name: "resnet34", depths: [3, 4, 6, 3], unit: Unit::Basic, weights: "https://download.pytorch.org/models/resnet34-b627a593.pth" },
    Member { name: "resnet50", depths: [3, 4, 6, 3], unit: BOTTLENECK, weights: "https://download.pytorch.org/models/resnet50-0676ba61.pth" },
    Member { name: "resnet101", depths: [3, 4, 23, 3], unit: BOTTLENECK, weights: "https://download.pytorch.org/models/resnet101-63fe2227.pth" },
    Member { name: "resnet152", depths: [3, 8, 36, 3], unit: BOTTLENECK, weights: "https://download.pytorch.org/models/resnet152-394f9c45.pth" },
    Member { name: "wide_resnet50_2", depths: [3, 4, 6, 3], unit: Unit::Bottleneck { groups: 1, width: 128 }, weights: "https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth" },
    Member { name: "resnext50_32x4d", depths: [3, 4, 6, 3], unit: Unit::Bottleneck { groups: 32, width: 4 }, weights: "https://download.pytorch.org/models/resnext50_32x4d-7cdf4587.pth" },
];

const STYLE: ConvStyle = ConvStyle::PYTORCH;

/// A residual block; `planes` is its width before the bottleneck's expansion.
fn unit(unit: Unit, prefix: &str, inputs: usize, planes: usize, stride: usize) -> Vec<Layer> {
    let names = |i: usize| [format!("{prefix}.conv{i}"), format!("{prefix}.bn{i}")];
    let relu = Some(Activation::Relu);
    let outputs = unit.outputs(planes);
    let body = match unit {
        Unit::Basic => [
            STYLE.conv(names(1), ConvShape::new(inputs, planes, 3, stride), relu),
            STYLE.conv(names(2), ConvShape::new(planes, planes, 3, 1), None),
        ]
        .concat(),
        Unit::Bottleneck { groups, width } => {
            let width = planes * width / 64 * groups;
            [
                STYLE.conv(names(1), ConvShape::new(inputs, width, 1, 1), relu),
                STYLE.conv(names(2), ConvShape { groups, ..ConvShape::new(width, width, 3, stride) }, relu),
                STYLE.conv(names(3), ConvShape::new(width, outputs, 1, 1), None),
            ]
            .concat()
        }
    };
    let shortcut = if stride == 1 && inputs == outputs {
        Vec::new()
    } else {
        let names = [format!("{prefix}.downsample.0"), format!("{prefix}.downsample.1")];
        STYLE.conv(names, ConvShape::new(inputs, outputs, 1, stride), None)
    };
    vec![Layer::Residual { body, shortcut }, Layer::Activation(Activation::Relu)]
}

impl Unit {
    fn outputs(self, planes: usize) -> usize {
        if matches!(self, Unit::Basic) { planes } else { 4 * planes }
    }
}

fn build(member: &Member) -> Backbone {
    let names = ["conv1".to_string(), "bn1".to_string()];
    let mut stem = STYLE.conv(names, ConvShape::new(3, 64, 7, 2), Some(Activation::Relu));
    stem.push(Layer::MaxPool { kernel: 3, stride: 2, padding: 1, ceil: false });
    let mut blocks = vec![Block::new("stem", 64, stem)];
    let mut inputs = 64;
    for (i, (planes, depth)) in [64, 128, 256, 512].into_iter().zip(member.depths).enumerate() {
        let name = format!("layer{}", i + 1);
        let mut layers = Vec::new();
        for j in 0..depth {
            let stride = if i > 0 && j == 0 { 2 } else { 1 };
            layers.extend(unit(member.unit, &format!("{name}.{j}"), inputs, planes, stride));
            inputs = member.unit.outputs(planes);
        }
        blocks.push(Block::new(name, inputs, layers));
    }
    Backbone {
        name: member.name,
        family: "resnet",
        blocks,
        classifier: "fc",
        initialization: Initialization::HeFanOut,
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
