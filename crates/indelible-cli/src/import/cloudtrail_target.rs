//! What a CloudTrail record was done to: its first resource, else a request parameter that names
//! one.

use super::members::Members;

/// Where in `requestParameters` a resource is named: service (empty for any), path, type. The
/// first that is there wins, so the thing acted upon stands before what it lies in.
const PARAMETERS: [(&str, &str, &str); 76] = [
    ("s3", "bucketName", "AWS::S3::Bucket"),
    ("", "functionName", "AWS::Lambda::Function"),
    ("", "secretId", "AWS::SecretsManager::Secret"),
    ("secretsmanager", "name", "AWS::SecretsManager::Secret"),
    ("", "trailName", "AWS::CloudTrail::Trail"),
    ("cloudtrail", "name", "AWS::CloudTrail::Trail"),
    ("cloudtrail", "trailNameList/0", "AWS::CloudTrail::Trail"),
    ("cloudtrail", "resourceIdList/0", "AWS::CloudTrail::Trail"),
    ("iam", "instanceProfileName", "AWS::IAM::InstanceProfile"),
    ("iam", "roleName", "AWS::IAM::Role"),
    ("iam", "groupName", "AWS::IAM::Group"),
    ("iam", "userName", "AWS::IAM::User"),
    ("iam", "policyArn", "AWS::IAM::Policy"),
    ("iam", "policyName", "AWS::IAM::Policy"),
    ("sts", "roleArn", "AWS::IAM::Role"),
    ("kms", "keyId", "AWS::KMS::Key"),
    ("ssm", "documentName", "AWS::SSM::Document"),
    ("ssm", "commandId", "AWS::SSM::Command"),
    ("ssm", "resourceId", "AWS::SSM::Resource"),
    ("ssm", "name", "AWS::SSM::Parameter"),
    ("ssm", "instanceIds/0", "AWS::EC2::Instance"),
    ("rds", "dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"),
    ("rds", "dBInstanceIdentifier", "AWS::RDS::DBInstance"),
    ("rds", "dBClusterIdentifier", "AWS::RDS::DBCluster"),
    ("rds", "dBSubnetGroupName", "AWS::RDS::DBSubnetGroup"),
    ("logs", "logGroupName", "AWS::Logs::LogGroup"),
    ("guardduty", "detectorId", "AWS::GuardDuty::Detector"),
    (
        "rolesanywhere",
        "trustAnchorId",
        "AWS::RolesAnywhere::TrustAnchor",
    ),
    ("rolesanywhere", "name", "AWS::RolesAnywhere::TrustAnchor"),
    ("dynamodb", "tableName", "AWS::DynamoDB::Table"),
    ("sqs", "queueUrl", "AWS::SQS::Queue"),
    ("sns", "topicArn", "AWS::SNS::Topic"),
    ("ecr", "repositoryName", "AWS::ECR::Repository"),
    ("eks", "name", "AWS::EKS::Cluster"),
    ("ecs", "cluster", "AWS::ECS::Cluster"),
    ("cloudformation", "stackName", "AWS::CloudFormation::Stack"),
    (
        "elasticloadbalancing",
        "loadBalancerArn",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
    ),
    (
        "autoscaling",
        "autoScalingGroupName",
        "AWS::AutoScaling::AutoScalingGroup",
    ),
    ("route53", "hostedZoneId", "AWS::Route53::HostedZone"),
    (
        "ec2",
        "instancesSet/items/0/instanceId",
        "AWS::EC2::Instance",
    ),
    ("", "instanceId", "AWS::EC2::Instance"),
    ("ec2", "snapshotId", "AWS::EC2::Snapshot"),
    ("ec2", "imageId", "AWS::EC2::Image"),
    ("ec2", "volumeId", "AWS::EC2::Volume"),
    ("ec2", "groupId", "AWS::EC2::SecurityGroup"),
    ("ec2", "groupName", "AWS::EC2::SecurityGroup"),
    ("ec2", "networkInterfaceId", "AWS::EC2::NetworkInterface"),
    (
        "ec2",
        "attachmentId",
        "AWS::EC2::NetworkInterfaceAttachment",
    ),
    ("ec2", "internetGatewayId", "AWS::EC2::InternetGateway"),
    (
        "ec2",
        "associationId",
        "AWS::EC2::SubnetRouteTableAssociation",
    ),
    ("ec2", "routeTableId", "AWS::EC2::RouteTable"),
    ("ec2", "allocationId", "AWS::EC2::EIP"),
    ("ec2", "natGatewayId", "AWS::EC2::NatGateway"),
    (
        "ec2",
        "DeleteNatGatewayRequest/NatGatewayId",
        "AWS::EC2::NatGateway",
    ),
    (
        "ec2",
        "CreateNatGatewayRequest/SubnetId",
        "AWS::EC2::Subnet",
    ),
    (
        "ec2",
        "CreateFlowLogsRequest/ResourceId/content",
        "AWS::EC2::VPC",
    ),
    (
        "ec2",
        "DeleteFlowLogsRequest/FlowLogId/content",
        "AWS::EC2::FlowLog",
    ),
    (
        "ec2",
        "DescribeVpcClassicLinkDnsSupportRequest/VpcIds/content",
        "AWS::EC2::VPC",
    ),
    (
        "ec2",
        "DescribeAddressesAttributeRequest/AllocationId/content",
        "AWS::EC2::EIP",
    ),
    (
        "ec2",
        "DescribeNatGatewaysRequest/NatGatewayId/content",
        "AWS::EC2::NatGateway",
    ),
    (
        "ec2",
        "DescribeInstanceCreditSpecificationsRequest/InstanceId/content",
        "AWS::EC2::Instance",
    ),
    (
        "ec2",
        "resourcesSet/items/0/resourceId",
        "AWS::EC2::Resource",
    ),
    (
        "ec2",
        "snapshotSet/items/0/snapshotId",
        "AWS::EC2::Snapshot",
    ),
    ("ec2", "volumeSet/items/0/volumeId", "AWS::EC2::Volume"),
    (
        "ec2",
        "securityGroupIdSet/items/0/groupId",
        "AWS::EC2::SecurityGroup",
    ),
    (
        "ec2",
        "routeTableIdSet/items/0/routeTableId",
        "AWS::EC2::RouteTable",
    ),
    (
        "ec2",
        "internetGatewayIdSet/items/0/internetGatewayId",
        "AWS::EC2::InternetGateway",
    ),
    (
        "ec2",
        "networkInterfaceIdSet/items/0/networkInterfaceId",
        "AWS::EC2::NetworkInterface",
    ),
    (
        "ec2",
        "networkAclIdSet/items/0/networkAclId",
        "AWS::EC2::NetworkAcl",
    ),
    (
        "ec2",
        "allocationIdsSet/items/0/allocationId",
        "AWS::EC2::EIP",
    ),
    ("ec2", "subnetSet/items/0/subnetId", "AWS::EC2::Subnet"),
    ("ec2", "vpcSet/items/0/vpcId", "AWS::EC2::VPC"),
    ("", "subnetId", "AWS::EC2::Subnet"),
    ("", "vpcId", "AWS::EC2::VPC"),
    ("", "resourceArn", ""),
    ("", "resourceName", ""),
];

/// Id and type of what the record was done to, if it says.
pub fn of(record: &Members<'_>, service: &str) -> Option<(String, String)> {
    resource(record).or_else(|| parameter(record, service))
}

fn resource(record: &Members<'_>) -> Option<(String, String)> {
    let first = record.raw("resources").and_then(|raw| at(raw, "0"))?;
    let first = Members::of(first)?;
    let arn = first.text("ARN").or_else(|| first.text("ARNPrefix"))?;
    let kind = first.text("type").unwrap_or_else(|| kind_of_arn(&arn));
    Some((arn, kind))
}

fn parameter(record: &Members<'_>, service: &str) -> Option<(String, String)> {
    let parameters = record.raw("requestParameters")?;
    PARAMETERS
        .iter()
        .filter(|(of, _, _)| of.is_empty() || *of == service)
        .find_map(|(_, path, kind)| {
            let id: String = serde_json::from_str(at(parameters, path)?).ok()?;
            if id.is_empty() {
                return None;
            }
            let kind = if kind.is_empty() {
                kind_of_arn(&id)
            } else {
                (*kind).to_owned()
            };
            Some((id, kind))
        })
}

/// The raw value at `path`, names and indices between slashes.
fn at<'a>(json: &'a str, path: &str) -> Option<&'a str> {
    path.split('/')
        .try_fold(json, |json, step| match step.parse::<usize>() {
            Ok(index) => {
                let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).ok()?;
                items.get(index).map(|item| item.get())
            }
            Err(_) => Members::of(json)?.raw(step),
        })
}

/// `secretsmanager:secret` of `arn:aws:secretsmanager:eu-1:1:secret:x`; `resource` of the rest.
fn kind_of_arn(text: &str) -> String {
    let mut parts = text.splitn(6, ':');
    let service = (parts.next() == Some("arn"))
        .then(|| parts.nth(1))
        .flatten();
    let resource = parts
        .nth(2)
        .and_then(|rest| rest.split_once([':', '/']))
        .map(|(kind, _)| kind);
    match (service, resource) {
        (Some(service), Some(resource)) => format!("{service}:{resource}"),
        (Some(service), None) => service.to_owned(),
        (None, _) => "resource".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn found(record: &str, service: &str) -> Option<(String, String)> {
        of(&Members::of(record).unwrap(), service)
    }

    fn pair(id: &str, kind: &str) -> (String, String) {
        (id.to_owned(), kind.to_owned())
    }

    #[test]
    fn resources_come_first() {
        let record = r#"{"resources":[{"ARN":"arn:aws:s3:::b","type":"AWS::S3::Bucket"}],
            "requestParameters":{"bucketName":"other"}}"#;
        assert_eq!(
            found(record, "s3"),
            Some(pair("arn:aws:s3:::b", "AWS::S3::Bucket"))
        );
        let record = r#"{"resources":[{"ARN":"arn:aws:secretsmanager:us-east-1:1:secret:x-1"}]}"#;
        let arn = "arn:aws:secretsmanager:us-east-1:1:secret:x-1";
        assert_eq!(
            found(record, "secretsmanager"),
            Some(pair(arn, "secretsmanager:secret"))
        );
    }

    #[test]
    fn the_thing_acted_upon_comes_before_what_it_lies_in() {
        let record = r#"{"requestParameters":{"vpcId":"vpc-1","routeTableId":"rtb-1"}}"#;
        assert_eq!(
            found(record, "ec2"),
            Some(pair("rtb-1", "AWS::EC2::RouteTable"))
        );
        let record = r#"{"requestParameters":{"policyArn":"p","roleName":"r"}}"#;
        assert_eq!(found(record, "iam"), Some(pair("r", "AWS::IAM::Role")));
    }

    #[test]
    fn lists_give_their_first_and_names_bind_to_their_service() {
        let record = r#"{"requestParameters":{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]}}}"#;
        assert_eq!(
            found(record, "ec2"),
            Some(pair("i-1", "AWS::EC2::Instance"))
        );
        let record = r#"{"requestParameters":{"name":"n"}}"#;
        assert_eq!(
            found(record, "cloudtrail"),
            Some(pair("n", "AWS::CloudTrail::Trail"))
        );
        assert_eq!(found(record, "tagging"), None);
        assert_eq!(found(r#"{"requestParameters":null}"#, "iam"), None);
        assert_eq!(
            found(r#"{"requestParameters":{"userName":7}}"#, "iam"),
            None
        );
    }
}
