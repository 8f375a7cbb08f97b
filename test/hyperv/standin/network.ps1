# Network adapters, their ACLs and VLANs, and switches.

function New-StandinAdapter([guid]$VMId, [string]$Name, [string]$SwitchName, [string]$Mac) {
    [VMNetworkAdapter]@{
        VMId = $VMId; Name = $Name; Id = "Microsoft:$("$VMId".ToUpperInvariant())\$("$([guid]::NewGuid())".ToUpperInvariant())"
        SwitchName = $SwitchName; MacAddress = $(if ($Mac) { $Mac.ToUpperInvariant() } else { '000000000000' }); DynamicMacAddressEnabled = -not $Mac
        MacAddressSpoofing = 'Off'; DhcpGuard = 'Off'; RouterGuard = 'Off'; AclList = @()
    }
}
# The adapter of the VM that $Adapter is a copy of, changed by the block. $_ is the adapter.
function Update-StandinAdapter([string]$Cmdlet, $Adapter, [scriptblock]$AdapterChange) {
    Update-StandinVm $Cmdlet $Adapter.VMId {
        $own = $_.NetworkAdapters | Where-Object Id -EQ $Adapter.Id
        if ($null -eq $own) { Stop-Cmdlet $Cmdlet 'ObjectNotFound' 'The network adapter is not there.' }
        $own | ForEach-Object $AdapterChange
    }
}
function Assert-Mac([string]$Cmdlet, [string]$Mac) {
    if ($Mac -notmatch '\A[0-9A-Fa-f]{12}\z') { Stop-Cmdlet $Cmdlet 'InvalidParameter' 'The MAC address is not valid.' }
}

function Get-VMNetworkAdapter {
    [CmdletBinding(DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Get-VMNetworkAdapter' { foreach ($one in Select-StandinVm 'Get-VMNetworkAdapter' $VM $VMName) { (Read-StandinVm (Get-StandinFile $one.Id)).NetworkAdapters } }
}

function Add-VMNetworkAdapter {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [string]$SwitchName,
        [Alias('VMNetworkAdapterName')][string]$Name = 'Network Adapter',
        [string]$StaticMacAddress,
        [switch]$Passthru
    )
    Invoke-Cmdlet 'Add-VMNetworkAdapter' {
        if ($SwitchName -and $SwitchName -ne $script:Standin.Switch) { Stop-Cmdlet 'Add-VMNetworkAdapter' 'InvalidParameter' "Hyper-V was unable to find a virtual switch with name `"$SwitchName`"." }
        if ($StaticMacAddress) { Assert-Mac 'Add-VMNetworkAdapter' $StaticMacAddress }
        foreach ($one in Select-StandinVm 'Add-VMNetworkAdapter' $VM $VMName) {
            $adapter = New-StandinAdapter $one.Id $Name $SwitchName $StaticMacAddress
            Update-StandinVm 'Add-VMNetworkAdapter' $one.Id {
                Assert-State 'Add-VMNetworkAdapter' $_ 'Off'
                if ($_.NetworkAdapters.Count -ge $script:NicMaximum) { Stop-Cmdlet 'Add-VMNetworkAdapter' 'InvalidOperation' 'The virtual machine has all network adapters that it can have.' }
                $_.NetworkAdapters += $adapter
            }
            if ($Passthru) { $adapter }
        }
    }
}

function Remove-VMNetworkAdapter {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param([Parameter(ParameterSetName = 'ResourceObject', Mandatory, Position = 0)][VMNetworkAdapterBase[]]$VMNetworkAdapter)
    Invoke-Cmdlet 'Remove-VMNetworkAdapter' {
        foreach ($adapter in $VMNetworkAdapter) {
            Update-StandinVm 'Remove-VMNetworkAdapter' $adapter.VMId {
                Assert-State 'Remove-VMNetworkAdapter' $_ 'Off'
                $_.NetworkAdapters = @($_.NetworkAdapters | Where-Object Id -NE $adapter.Id)
            }
        }
    }
}

function Set-VMNetworkAdapter {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string]$VMName,
        [Parameter(ParameterSetName = 'ResourceObject', Mandatory, Position = 0)][VMNetworkAdapterBase]$VMNetworkAdapter,
        [Parameter(ParameterSetName = 'VMName')]
        [Parameter(ParameterSetName = 'ResourceObject')][string]$StaticMacAddress,
        [OnOffState]$MacAddressSpoofing,
        [OnOffState]$DhcpGuard,
        [OnOffState]$RouterGuard,
        [long]$MaximumBandwidth
    )
    $bound = $PSBoundParameters
    Invoke-Cmdlet 'Set-VMNetworkAdapter' {
        if ($StaticMacAddress) { Assert-Mac 'Set-VMNetworkAdapter' $StaticMacAddress }
        Update-StandinAdapter 'Set-VMNetworkAdapter' $VMNetworkAdapter {
            if ($StaticMacAddress) { $_.MacAddress = $StaticMacAddress.ToUpperInvariant(); $_.DynamicMacAddressEnabled = $false }
            foreach ($property in 'MacAddressSpoofing', 'DhcpGuard', 'RouterGuard') { if ($bound.ContainsKey($property)) { $_.$property = $bound[$property] } }
            if ($bound.ContainsKey('MaximumBandwidth')) {
                if ($null -eq $_.BandwidthSetting) { $_.BandwidthSetting = [VMNetworkAdapterBandwidthSetting]::new() }
                # It is kept as the nearest multiple of eight bits.
                $_.BandwidthSetting.MaximumBandwidth = [long]([Math]::Round($MaximumBandwidth / 8) * 8)
            }
        }
    }
}

function Set-VMNetworkAdapterVlan {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'ResourceObject', Mandatory, Position = 0)][VMNetworkAdapterBase[]]$VMNetworkAdapter,
        [Alias('u')][switch]$Untagged,
        [Alias('a')][switch]$Access,
        [Alias('AccessVlanId')][int]$VlanId
    )
    Invoke-Cmdlet 'Set-VMNetworkAdapterVlan' {
        if ($Untagged -eq $Access -or ($Access -and ($VlanId -lt 1 -or $VlanId -gt 4094))) { Stop-Cmdlet 'Set-VMNetworkAdapterVlan' 'InvalidParameter' 'The VLAN settings are not valid.' }
        foreach ($adapter in $VMNetworkAdapter) { Update-StandinAdapter 'Set-VMNetworkAdapterVlan' $adapter { $_.StandinVlanId = if ($Access) { $VlanId } else { 0 } } }
    }
}

function Get-VMNetworkAdapterAcl {
    [CmdletBinding(DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'ResourceObject', Mandatory, Position = 0)][VMNetworkAdapterBase[]]$VMNetworkAdapter
    )
    Invoke-Cmdlet 'Get-VMNetworkAdapterAcl' {
        foreach ($adapter in $VMNetworkAdapter) { (Read-StandinVm (Get-StandinFile $adapter.VMId)).NetworkAdapters | Where-Object Id -EQ $adapter.Id | ForEach-Object AclList }
    }
}

function Add-VMNetworkAdapterAcl {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'ResourceObject', Mandatory, Position = 0)][VMNetworkAdapterBase[]]$VMNetworkAdapter,
        [Parameter(Mandatory)][VMNetworkAdapterAclAction]$Action,
        [Parameter(Mandatory)][VMNetworkAdapterAclDirection]$Direction,
        [string[]]$LocalIPAddress,
        [string[]]$RemoteIPAddress
    )
    Invoke-Cmdlet 'Add-VMNetworkAdapterAcl' {
        foreach ($address in @($LocalIPAddress) + @($RemoteIPAddress)) {
            if ($address -and $address -ne 'ANY' -and $address -notmatch '\A[0-9.]+(/[0-9]{1,2})?\z') { Stop-Cmdlet 'Add-VMNetworkAdapterAcl' 'InvalidParameter' 'The address is not valid.' }
        }
        foreach ($adapter in $VMNetworkAdapter) {
            Update-StandinAdapter 'Add-VMNetworkAdapterAcl' $adapter {
                $acl = [VMNetworkAdapterAclSetting]@{ StandinVMId = $_.VMId; StandinAdapter = $_.Id; Action = $Action; Direction = $Direction; LocalAddress = "$LocalIPAddress"; RemoteAddress = "$RemoteIPAddress" }
                if ($_.AclList | Where-Object { $_.Action -eq $acl.Action -and $_.Direction -eq $acl.Direction -and $_.LocalAddress -eq $acl.LocalAddress }) { Stop-Cmdlet 'Add-VMNetworkAdapterAcl' 'InvalidOperation' 'The ACL is there already.' }
                $_.AclList += $acl
            }
        }
    }
}

function Remove-VMNetworkAdapterAcl {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param([Parameter(ParameterSetName = 'InputObjectParameter', Mandatory, Position = 0)][VMNetworkAdapterAclSetting[]]$InputObject)
    Invoke-Cmdlet 'Remove-VMNetworkAdapterAcl' {
        foreach ($acl in $InputObject) {
            Update-StandinVm 'Remove-VMNetworkAdapterAcl' $acl.StandinVMId {
                foreach ($adapter in $_.NetworkAdapters | Where-Object Id -EQ $acl.StandinAdapter) {
                    $adapter.AclList = @($adapter.AclList | Where-Object { -not ($_.Action -eq $acl.Action -and $_.Direction -eq $acl.Direction -and $_.LocalAddress -eq $acl.LocalAddress) })
                }
            }
        }
    }
}

function Get-VMSwitch {
    [CmdletBinding(DefaultParameterSetName = 'Name')]
    param([Parameter(ParameterSetName = 'Name', Position = 0)][Alias('SwitchName')][string]$Name)
    Invoke-Cmdlet 'Get-VMSwitch' { [VMSwitch]@{ Id = [guid]::Empty; Name = $script:Standin.Switch; SwitchType = 'External' } }
}
