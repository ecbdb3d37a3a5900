fn main() {
    println!("{:?}", thawline::stages::kind("x").is_some());
    println!("{}", tch::Tensor::from_slice(&[1.0f32]).double_value(&[0]));
}
